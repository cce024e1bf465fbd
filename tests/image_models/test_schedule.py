import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau

from image_models.recipe import ImageModelRecipe
from image_models.training.schedule import describe, epochs_without_gain, learning_rate, warmup_steps


def recipe(**changes: object) -> ImageModelRecipe:
    return ImageModelRecipe(**{"name": "m", "backbone": "lesion_net", **changes})  # type: ignore[arg-type]


def torch_rates(settings: ImageModelRecipe, steps: int, t_max: int) -> list[float]:
    """Rates of PyTorch's scheduler in its closed form."""
    optimiser = torch.optim.SGD([torch.zeros(1)], lr=settings.learning_rate)
    scheduler = CosineAnnealingLR(optimiser, t_max, eta_min=settings.minimum_learning_rate)
    rates = []
    for step in range(steps):
        scheduler.last_epoch = step
        rates.append(float(scheduler._get_closed_form_lr()[0]))
    return rates


def test_cosine_is_pytorchs_closed_form_beyond_t_max_too():
    settings = recipe(warmup_ratio=0.0, cosine_steps=50, after_cosine="cycle")
    ours = [learning_rate(step, 180, settings) for step in range(180)]
    assert ours == pytest.approx(torch_rates(settings, 180, 50), rel=1e-12)


def test_hold_follows_pytorch_to_t_max_and_stays_at_the_minimum():
    settings = recipe(warmup_ratio=0.0, cosine_steps=50)
    ours = [learning_rate(step, 180, settings) for step in range(180)]
    assert ours[:51] == pytest.approx(torch_rates(settings, 51, 50), rel=1e-12)
    assert ours[50:] == pytest.approx([settings.minimum_learning_rate] * 130, rel=1e-12)


def stepped_rates(settings: ImageModelRecipe, steps: int, total: int) -> list[float]:
    """Rates of PyTorch's scheduler, stepped as its documentation shows, behind our warm-up."""
    optimiser = torch.optim.SGD([torch.zeros(1)], lr=settings.learning_rate)
    scheduler = CosineAnnealingLR(optimiser, settings.cosine_steps, eta_min=settings.minimum_learning_rate)
    warmup = warmup_steps(total, settings)
    rates = [settings.learning_rate * (step + 1) / (warmup + 1) for step in range(warmup)]
    for _ in range(steps - warmup):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return rates


def test_cycle_climbs_again_as_pytorch_s_stepped_scheduler_and_hold_does_not():
    settings = recipe(warmup_ratio=0.05, cosine_steps=50, after_cosine="cycle")
    theirs = stepped_rates(settings, 260, 260)
    assert [learning_rate(step, 260, settings) for step in range(260)] == pytest.approx(theirs, rel=1e-6)
    warmup = warmup_steps(260, settings)
    assert theirs[warmup + 100] == pytest.approx(settings.learning_rate)
    held = [learning_rate(step, 260, recipe(warmup_ratio=0.05, cosine_steps=50)) for step in range(260)]
    assert held[: warmup + 51] == pytest.approx(theirs[: warmup + 51], rel=1e-6)
    assert set(held[warmup + 50 :]) == {settings.minimum_learning_rate}


def test_table_1_on_one_fold_of_isic_2024():
    settings = recipe()
    assert warmup_steps(600, settings) == 30
    assert learning_rate(30, 600, settings) == 1e-4
    assert learning_rate(30 + 250, 600, settings) == pytest.approx((1e-4 + 1e-6) / 2)
    assert learning_rate(530, 600, settings) == pytest.approx(1e-6)
    assert describe(600, settings) == [
        "steps 0-29: warm-up, 3.23e-06 to 0.0001",
        "steps 30-530: cosine, 0.0001 to 1e-06",
        "steps 531-599: held at 1e-06",
    ]


def test_description_of_the_other_schedules():
    assert describe(200, recipe(cosine_steps=0, warmup_ratio=0.0)) == ["steps 0-199: cosine, 0.0001 to 1.01e-06"]
    assert describe(10, recipe(schedule="constant", warmup_ratio=0.0)) == ["steps 0-9: constant at 0.0001"]
    assert describe(1300, recipe(after_cosine="cycle", warmup_ratio=0.0))[1] == (
        "steps 501-1299: up and down again every 500 steps, ending at "
        f"{1e-6 + (1e-4 - 1e-6) * (1 + math.cos(math.pi * 1299 / 500)) / 2:.3g}"
    )


@given(
    total=st.integers(1, 3000),
    warmup=st.floats(0, 0.99),
    t_max=st.integers(0, 2000),
    after=st.sampled_from(["hold", "cycle"]),
    schedule=st.sampled_from(["cosine", "constant"]),
)
def test_every_rate_lies_between_zero_and_the_full_rate(total, warmup, t_max, after, schedule):
    settings = recipe(warmup_ratio=warmup, cosine_steps=t_max, after_cosine=after, schedule=schedule)
    rates = [learning_rate(step, total, settings) for step in range(total)]
    assert all(0 < rate <= settings.learning_rate * (1 + 1e-12) for rate in rates)
    first = warmup_steps(total, settings)
    assert first < total
    assert rates[first] == settings.learning_rate
    assert all(earlier < later for earlier, later in pairwise(rates[: first + 1]))
    assert describe(total, settings)


@given(
    scores=st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4]), max_size=30),
    patience=st.integers(0, 4),
    factor=st.sampled_from([0.1, 0.5, 0.9]),
)
def test_plateau_is_pytorchs(scores, patience, factor):
    settings = recipe(
        warmup_ratio=0.0, schedule="plateau", select="best", plateau_patience=patience, plateau_factor=factor
    )
    optimiser = torch.optim.SGD([torch.zeros(1)], lr=settings.learning_rate)
    reference = ReduceLROnPlateau(
        optimiser, "max", factor=factor, patience=patience, threshold=0, threshold_mode="abs",
        min_lr=settings.minimum_learning_rate, eps=0,
    )  # fmt: skip
    for epoch in range(len(scores) + 1):
        assert learning_rate(10 * epoch, 1000, settings, scores[:epoch]) == pytest.approx(
            optimiser.param_groups[0]["lr"]
        )
        if epoch < len(scores):
            reference.step(scores[epoch])


def test_plateau_warms_up_and_is_described():
    settings = recipe(warmup_ratio=0.1, schedule="plateau", select="best")
    assert learning_rate(0, 100, settings) == pytest.approx(1e-4 / 11)
    assert learning_rate(50, 100, settings, [0.2, 0.1, 0.1, 0.1]) == pytest.approx(1e-5)
    lines = describe(100, settings)
    assert lines[0] == "steps 0-9: warm-up, 9.09e-06 to 0.0001"
    assert lines[1].startswith(
        "steps 10-99: 0.0001, times 0.1 whenever more than 2 epochs in a row bring no better inner score"
    )


def test_epochs_without_gain_count_from_the_first_best():
    assert [epochs_without_gain(scores) for scores in ([], [0.3], [0.1, 0.3, 0.3, 0.2], [0.1, 0.2])] == [0, 0, 2, 0]


def test_a_stretched_cosine_ends_near_the_minimum():
    assert learning_rate(999, 1000, recipe(cosine_steps=0)) < 1.01e-6
