import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from data.errors import RecipeError
from image_models.recipe import ImageModelRecipe
from image_models.training.losses import class_weights, log_probabilities, summed_loss


def one_hot(labels: list[int], classes: int) -> torch.Tensor:
    return functional.one_hot(torch.tensor(labels), classes).float()


@given(logits=st.lists(st.floats(-60, 60), min_size=1, max_size=6), data=st.data())
def test_binary_loss_is_pytorchs(logits, data):
    labels = data.draw(st.lists(st.integers(0, 1), min_size=len(logits), max_size=len(logits)))
    z = torch.tensor(logits, dtype=torch.float32)[:, None]
    ours = summed_loss(z, one_hot(labels, 2), torch.tensor([1.0, 3.0]), 0.0)
    theirs = functional.binary_cross_entropy_with_logits(
        z[:, 0], torch.tensor(labels).float(), pos_weight=torch.tensor(3.0), reduction="sum"
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_many_classes_divided_by_the_weights_are_pytorchs_weighted_mean():
    z = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    labels = [0, 1, 2, 3, 3, 2, 1, 0, 0]
    weights = torch.tensor([1.0, 2.0, 0.5, 4.0])
    ours = summed_loss(z, one_hot(labels, 4), weights, 0.0) / weights[labels].sum()
    torch.testing.assert_close(ours, functional.cross_entropy(z, torch.tensor(labels), weight=weights))


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_focal_loss_is_its_formula(gamma):
    rng = np.random.default_rng(1)
    z, labels, weights = rng.normal(0, 3, (12, 3)), rng.integers(0, 3, 12), np.array([1.0, 2.0, 0.5])
    expected = 0.0
    for row, label in zip(z, labels, strict=True):
        p = math.exp(row[label]) / sum(math.exp(value) for value in row)
        expected += -weights[label] * (1 - p) ** gamma * math.log(p)
    ours = summed_loss(torch.from_numpy(z), one_hot(labels.tolist(), 3), torch.from_numpy(weights).float(), gamma)
    assert float(ours) == pytest.approx(expected, rel=1e-5)


def test_mixed_labels_are_mixed_losses():
    z = torch.tensor([[0.3], [-1.0]])
    both = summed_loss(z, torch.tensor([[0.3, 0.7], [0.9, 0.1]]), torch.ones(2), 2.0)
    parts = [
        0.3 * summed_loss(z[:1], one_hot([0], 2), torch.ones(2), 2.0),
        0.7 * summed_loss(z[:1], one_hot([1], 2), torch.ones(2), 2.0),
        0.9 * summed_loss(z[1:], one_hot([0], 2), torch.ones(2), 2.0),
        0.1 * summed_loss(z[1:], one_hot([1], 2), torch.ones(2), 2.0),
    ]
    torch.testing.assert_close(both, torch.stack(parts).sum())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_certain_logits_have_finite_gradients(dtype, gamma):
    z = torch.tensor([[80.0], [-80.0], [80.0], [0.0]], dtype=dtype, requires_grad=True)
    summed_loss(z, one_hot([1, 1, 0, 1], 2), torch.ones(2), gamma).backward()
    assert torch.isfinite(z.grad).all()
    assert z.grad[1, 0] < 0 < z.grad[2, 0]


def test_log_probabilities_keep_float64():
    z = torch.tensor([[40.0], [41.0]], dtype=torch.float64)
    p = log_probabilities(z).exp()
    assert p.dtype == torch.float64
    assert p[0, 0] > p[1, 0] > 0


def test_class_weights():
    def weights(given: object, counts: list[int]) -> list[float]:
        recipe = ImageModelRecipe(name="m", backbone="lesion_net", class_weights=given)  # type: ignore[arg-type]
        return class_weights(recipe, np.array(counts)).tolist()

    assert weights("none", [3, 9]) == [1, 1]
    assert weights("balanced", [30, 10]) == pytest.approx([40 / 60, 40 / 20])
    assert weights("balanced", [30, 10, 0]) == pytest.approx([40 / 60, 40 / 20, 1])
    assert weights((1.0, 2.0), [5, 5]) == [1, 2]
    for wrong in ((1.0,), (1.0, -1.0), (0.0, 0.0)):
        with pytest.raises(RecipeError, match="class_weights"):
            weights(wrong, [5, 5])
