import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import image_models.training.fit
import image_models.training.train
from data.errors import Interrupted, TrainingError
from data.scores.ranking import auc
from image_models.predict import load_model, predict
from image_models.recipe import AugmentRecipe
from image_models.training import inner_score
from image_models.training.plan import derived_seed, plan_training
from tests.image_models.train.shared import HELD_OUT, ROWS, StopAt, fit, same, weights

pytestmark = pytest.mark.usefixtures("single_threaded")


@pytest.mark.parametrize("labels", ["target", "relabelled", "relabelled_then_target"])
@pytest.mark.parametrize("select", ["last", "best"])
def test_nothing_of_rows_outside_the_training_rows_matters(tmp_path, toy_lesions, toy_recipe, labels, select):
    clean = toy_lesions()
    rng = np.random.default_rng(5)
    damaged = {}
    for name in ("target", "training_label"):
        damaged[name] = getattr(clean, name).copy()
        damaged[name][HELD_OUT] = rng.permutation(1 - damaged[name][HELD_OUT])
    images, group = clean.images.copy(), clean.group.copy()
    images[HELD_OUT] = rng.integers(0, 255, images[HELD_OUT].shape)
    group[HELD_OUT] = 0
    recipe = toy_recipe(labels=labels, epochs=2, second_fit_epochs=1, select=select, inner_share=0.3)
    fit(tmp_path / "clean", recipe, clean)
    fit(tmp_path / "damaged", recipe, toy_lesions(**damaged, images=images, group=group))
    assert same(weights(tmp_path / "clean"), weights(tmp_path / "damaged"))


def test_each_kind_of_labels_is_learned_from(tmp_path, toy_lesions, toy_recipe):
    flipped = 1 - toy_lesions().target
    lesions = toy_lesions(training_label=flipped)
    probability = {}
    for labels in ("target", "relabelled", "relabelled_then_target"):
        recipe = toy_recipe(labels=labels, epochs=6, second_fit_epochs=8)
        fit(tmp_path / labels, recipe, lesions)
        model = load_model(tmp_path / labels / "model.safetensors", recipe, 2)
        probability[labels] = predict(model, recipe, lesions, HELD_OUT, device="cpu")[:, 0]
    truth = lesions.target[HELD_OUT]
    assert auc(truth, probability["target"]) > 0.9
    assert auc(truth, probability["relabelled"]) < 0.1
    assert auc(truth, probability["relabelled_then_target"]) > 0.9


def test_best_epoch_is_the_one_the_inner_split_prefers(tmp_path, toy_lesions, toy_recipe, monkeypatch):
    scores = iter([0.1, 0.19, 0.15])
    monkeypatch.setitem(inner_score.OF_TWO, "pauc", lambda target, probability: next(scores))
    kept: list[dict[str, Tensor]] = []
    original = image_models.training.fit.Fit._inner_score

    def spy(self: Any, tell: Any) -> float:
        kept.append({name: tensor.clone() for name, tensor in self.outcome.state_dict().items()})
        return original(self, tell)

    monkeypatch.setattr(image_models.training.fit.Fit, "_inner_score", spy)
    report = fit(tmp_path, toy_recipe(select="best", inner_share=0.3), toy_lesions())
    assert report.selected_epoch == 2
    assert [epoch.inner_score for epoch in report.epochs] == [0.1, 0.19, 0.15]
    assert same(weights(tmp_path), kept[1])
    assert not same(weights(tmp_path), kept[2])


def test_the_rate_falls_on_a_plateau_and_the_fit_ends(tmp_path, toy_lesions, toy_recipe, monkeypatch):
    scores = iter([0.1, 0.15, 0.15, 0.12, 0.11, 0.1])
    monkeypatch.setitem(inner_score.OF_TWO, "pauc", lambda target, probability: next(scores))
    recipe = toy_recipe(
        select="best", inner_share=0.3, schedule="plateau", plateau_patience=1, plateau_factor=0.5, stop_after=3,
        epochs=9, warmup_ratio=0.0,
    )  # fmt: skip
    report = fit(tmp_path, recipe, toy_lesions())
    assert [epoch.inner_score for epoch in report.epochs] == [0.1, 0.15, 0.15, 0.12, 0.11]
    rate = recipe.learning_rate
    assert [epoch.learning_rate for epoch in report.epochs] == [rate, rate, rate, rate, rate / 2]
    assert report.selected_epoch == 2
    per_epoch = plan_training(recipe, toy_lesions(), ROWS, 7, smallest_batch=2).fits[0].sampler
    assert (report.steps, report.images) == (5 * per_epoch.steps_per_epoch, 5 * per_epoch.images_per_epoch)


def test_progress_of_a_second_fit_goes_on_from_where_the_first_ended(tmp_path, toy_lesions, toy_recipe, monkeypatch):
    monkeypatch.setitem(inner_score.OF_TWO, "pauc", lambda target, probability: 0.1)
    heard: list[tuple[int, int]] = []
    recipe = toy_recipe(
        select="best", inner_share=0.3, stop_after=1, epochs=9, labels="relabelled_then_target", second_fit_epochs=2
    )
    report = fit(tmp_path, recipe, toy_lesions(), progress=lambda done, total, **figures: heard.append((done, total)))
    assert [(epoch.fit, epoch.epoch) for epoch in report.epochs] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    done = sorted({done for done, _ in heard})
    assert done == list(range(1, report.steps + 1))
    assert heard[-1] == (report.steps, report.steps)


def test_accumulated_batches_give_the_step_of_one_large_batch(tmp_path, toy_lesions, toy_recipe, monkeypatch):
    norms: list[float] = []
    original = image_models.training.fit.Optimiser.step

    def spy(self: Any, rate: float) -> Tensor:
        norms.append(float(norm := original(self, rate)))
        return norm

    monkeypatch.setattr(image_models.training.fit.Optimiser, "step", spy)
    # Without batch norm, dropout and random changes the two must agree but for rounding.
    still = AugmentRecipe(
        crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0), rotation_degrees=0, flip=False, brightness=0, contrast=0,
        saturation=0, hue=0,
    )  # fmt: skip
    settings = {"backbone": "test_vit", "image_size": 160, "epochs": 1, "dropout": 0.0, "augment": still}
    settings |= {"class_weights": (1.0, 5.0), "learning_rate": 1e-4, "negatives_per_positive": 0.0}
    # 30 images: two full steps, and one of six, accumulated from four and two.
    large = fit(tmp_path / "large", toy_recipe(**settings, batch_size=12), toy_lesions(), ROWS[:30])
    small = fit(tmp_path / "small", toy_recipe(**settings, batch_size=4, accumulate=3), toy_lesions(), ROWS[:30])
    assert large.steps == small.steps == 3
    assert norms[3:] == pytest.approx(norms[:3], rel=1e-3)
    assert small.epochs[0].loss == pytest.approx(large.epochs[0].loss, rel=1e-5)
    for name, tensor in weights(tmp_path / "large").items():
        torch.testing.assert_close(weights(tmp_path / "small")[name], tensor, rtol=1e-3, atol=2e-5)


def test_loss_that_is_not_a_number_names_step_rate_and_lesions(tmp_path, toy_lesions, toy_recipe, monkeypatch):
    original = image_models.training.fit.summed_loss
    calls = iter(range(100))

    def spoiled(*arguments: Any) -> Tensor:
        loss = original(*arguments)
        return loss * float("nan") if next(calls) == 4 else loss

    monkeypatch.setattr(image_models.training.fit, "summed_loss", spoiled)
    lesions, recipe = toy_lesions(), toy_recipe()
    with pytest.raises(TrainingError, match=r"loss nan.*at step 5 of fit 1.*learning rate 0\.00") as caught:
        fit(tmp_path, recipe, lesions)
    named = set(str(caught.value).rsplit(": ", 1)[1].split(", "))
    assert len(named) == 8
    assert named <= set(lesions.ids[ROWS])
    assert not (tmp_path / "model.safetensors").exists()


def test_gradient_that_is_not_a_number_stops_the_fit_too(tmp_path, toy_lesions, toy_recipe, monkeypatch):
    monkeypatch.setattr(nn.utils, "clip_grad_norm_", lambda *arguments: torch.tensor(float("inf")))
    with pytest.raises(TrainingError, match=r"gradient norm inf at step 1"):
        fit(tmp_path, toy_recipe(), toy_lesions())


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_full_memory_names_the_keys_to_change(tmp_path, toy_lesions, toy_recipe, monkeypatch, error):
    def fail(*arguments: Any) -> Tensor:
        raise error

    monkeypatch.setattr(image_models.training.fit, "summed_loss", fail)
    with pytest.raises(TrainingError, match=r"out of memory.*batch_size \(now 8.*accumulate.*image_size.*precision"):
        fit(tmp_path, toy_recipe(), toy_lesions())


def test_other_runtime_errors_pass_unchanged(tmp_path, toy_lesions, toy_recipe, monkeypatch):
    def fail(*arguments: Any) -> Tensor:
        raise RuntimeError("a bug")

    monkeypatch.setattr(image_models.training.fit, "summed_loss", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        fit(tmp_path, toy_recipe(), toy_lesions())


def test_nothing_to_learn_from_is_said(tmp_path, toy_lesions, toy_recipe):
    lesions = toy_lesions()
    with pytest.raises(TrainingError, match="only class 0 among 5 training lesions"):
        fit(tmp_path, toy_recipe(), lesions, np.flatnonzero(lesions.target == 0)[:5])
    with pytest.raises(TrainingError, match=r"no lesion with an image.*48 training lesions \(0 with an image\)"):
        fit(tmp_path, toy_recipe(), toy_lesions(present=np.zeros(60, dtype=np.bool_)))


def test_lesions_without_an_image_are_never_shown(tmp_path, toy_lesions, toy_recipe):
    clean = toy_lesions()
    present = np.arange(60) % 5 != 0
    images = clean.images.copy()
    images[~present] = 0
    fit(tmp_path / "a", toy_recipe(epochs=2), toy_lesions(present=present))
    fit(tmp_path / "b", toy_recipe(epochs=2), toy_lesions(present=present, images=images))
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_report_can_be_written_as_json_and_adds_up(tmp_path, toy_lesions, toy_recipe):
    report = fit(tmp_path, toy_recipe(), toy_lesions())
    values = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert type(report).from_dict(values) == report
    assert len(report.epochs) == 3
    assert report.selected_epoch == 3
    model = load_model(tmp_path / "model.safetensors", toy_recipe(), 2)
    assert report.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert report.images == 3 * 2 * int(toy_lesions().target[ROWS].sum())
    assert report.peak_memory_bytes > 10**7
    assert report.images_per_second > 0
    assert (report.device, report.precision) == ("cpu", "fp32")


def test_listener_hears_of_every_step_with_its_figures(tmp_path, toy_lesions, toy_recipe):
    heard: list[dict[str, float]] = []
    report = fit(
        tmp_path,
        toy_recipe(epochs=2, select="best", inner_share=0.3),
        toy_lesions(),
        progress=lambda done, total, **figures: heard.append({"done": done, "total": total, **figures}),
    )
    assert {entry["total"] for entry in heard} == {report.steps}
    assert {entry["done"] for entry in heard} == set(range(1, report.steps + 1))
    assert all({"loss", "learning_rate", "images_per_second", "epoch"} <= entry.keys() for entry in heard)
    assert all(np.isfinite(value) for entry in heard for value in entry.values())
    assert heard[-1]["inner_score"] == report.epochs[0].inner_score


def test_frozen_batch_norms_keep_their_statistics_and_still_learn(tmp_path, toy_lesions, toy_recipe):
    """Statistics of layers that normalise are those the network started with; their other parameters have moved."""
    fit(tmp_path, toy_recipe(freeze_batch_norm=True, ema_decay=0.0), toy_lesions())
    state = weights(tmp_path)
    assert all(not state[name].any() for name in state if name.endswith("running_mean"))
    assert all((state[name] == 1).all() for name in state if name.endswith("running_var"))
    assert state["backbone.stem.1.bias"].any()


def test_callers_random_state_and_switches_are_put_back(tmp_path, toy_lesions, toy_recipe):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    fit(tmp_path, toy_recipe(epochs=1), toy_lesions())
    assert torch.equal(torch.rand(4), expected)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory


def test_tensorboard_that_is_not_installed_is_named(tmp_path, toy_lesions, toy_recipe, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(TrainingError, match=r"fusionnetx\[tracking\]"):
        fit(tmp_path, toy_recipe(epochs=1), toy_lesions(), log_dir=tmp_path / "scalars")


def test_tensorboard_scalars_are_written(tmp_path, toy_lesions, toy_recipe):
    pytest.importorskip("tensorboard")
    fit(tmp_path, toy_recipe(epochs=1), toy_lesions(), log_dir=tmp_path / "scalars")
    assert list((tmp_path / "scalars").iterdir())


def test_derived_seeds_differ_by_name():
    seeds = {derived_seed(seed, stream, number) for seed in range(5) for stream in range(4) for number in range(20)}
    assert len(seeds) == 400


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("resident", ["device", "host"])
def test_learns_on_a_gpu(tmp_path, toy_lesions, toy_recipe, resident):
    lesions, recipe = toy_lesions(), toy_recipe(epochs=6, resident=resident)
    with pytest.raises(Interrupted):
        fit(tmp_path, recipe, lesions, device="cuda", progress=StopAt(9))
    report = fit(tmp_path, recipe, lesions, device="cuda")
    assert report.resumed_at_step == 9
    probability = predict(
        load_model(tmp_path / "model.safetensors", recipe, 2), recipe, lesions, HELD_OUT, device="cuda"
    )
    assert auc(lesions.target[HELD_OUT], probability[:, 0]) > 0.9
