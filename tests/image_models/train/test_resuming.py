import itertools
import logging
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import image_models.training.fit
import image_models.training.train
from data.errors import Interrupted
from data.scores.ranking import auc
from image_models.predict import load_model, predict
from image_models.recipe import AugmentRecipe
from image_models.threads import with_threads
from tests.image_models.train.shared import HELD_OUT, RESUMED, ROWS, StopAt, fit, same, weights

pytestmark = pytest.mark.usefixtures("single_threaded")


def test_learns_the_toy_task_and_its_loss_falls(tmp_path, toy_lesions, toy_recipe):
    lesions, recipe = toy_lesions(), toy_recipe(epochs=6)
    report = fit(tmp_path, recipe, lesions)
    losses = [epoch.loss for epoch in report.epochs]
    assert losses[-1] < 0.5 * losses[0]
    probability = predict(
        load_model(tmp_path / "model.safetensors", recipe, 2), recipe, lesions, HELD_OUT, device="cpu"
    )
    assert auc(lesions.target[HELD_OUT], probability[:, 0]) > 0.9


def test_learns_three_classes(tmp_path, toy_lesions, toy_recipe):
    lesions = toy_lesions(classes=3)
    recipe = toy_recipe(epochs=8, class_weights="balanced", augment=AugmentRecipe(hue=0.0, mixup=0.2))
    fit(tmp_path, recipe, lesions)
    probability = predict(
        load_model(tmp_path / "model.safetensors", recipe, 3), recipe, lesions, HELD_OUT, device="cpu"
    )
    assert probability.shape == (12, 3)
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-12)
    assert (probability.argmax(axis=1) == lesions.target[HELD_OUT]).mean() > 0.8


def test_two_runs_agree_to_the_bit_and_another_seed_does_not(tmp_path, toy_lesions, toy_recipe):
    for position, (name, seed) in enumerate((("a", 7), ("b", 7), ("c", 8))):
        torch.manual_seed(position)  # the caller's random state must not matter
        fit(tmp_path / name, toy_recipe(epochs=2), toy_lesions(), seed=seed)
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


@pytest.mark.parametrize("changes", RESUMED.values(), ids=RESUMED)
def test_interrupted_and_resumed_equals_uninterrupted_to_the_bit(tmp_path, toy_lesions, toy_recipe, changes):
    lesions, recipe = toy_lesions(), toy_recipe(**changes)
    relabelled = lesions.target.copy()
    relabelled[::7] = 1
    lesions = toy_lesions(training_label=relabelled)
    whole = fit(tmp_path / "whole", recipe, lesions)
    stops = sorted({1, whole.steps // 2 + 1, whole.steps})
    for stop in stops:
        with pytest.raises(Interrupted):
            fit(tmp_path / "parts", recipe, lesions, progress=StopAt(stop))
        assert (tmp_path / "parts" / "last.safetensors").exists()
        assert not (tmp_path / "parts" / "model.safetensors").exists()
        torch.rand(3)  # a new process would have another random state
    resumed = fit(tmp_path / "parts", recipe, lesions)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    assert not (tmp_path / "parts" / "last.safetensors").exists()
    assert resumed.resumed_at_step == whole.steps
    for one, other in zip(whole.epochs, resumed.epochs, strict=True):
        timeless = {"seconds": 0.0, "images_per_second": 0.0}
        assert replace(one, **timeless) == replace(other, **timeless)
        assert one.accuracy is not None


def test_interrupted_while_the_inner_split_is_scored(tmp_path, toy_lesions, toy_recipe):
    class StopTwice:
        """Stops at the second call of the same step, which is the first batch of the inner split."""

        before = 0

        def __call__(self, done: int, total: int, **figures: float) -> None:
            if done == self.before:
                raise Interrupted(143)
            self.before = done

    lesions, recipe = toy_lesions(), toy_recipe(select="best", inner_share=0.3)
    whole = fit(tmp_path / "whole", recipe, lesions)
    with pytest.raises(Interrupted):
        fit(tmp_path / "parts", recipe, lesions, progress=StopTwice())
    resumed = fit(tmp_path / "parts", recipe, lesions)
    assert resumed.resumed_at_step == whole.steps // 3
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


@pytest.mark.parametrize(("keep", "goes_on_with"), [(True, 1), (False, 2)])
def test_a_fit_goes_on_with_the_threads_that_it_began_with_unless_others_are_asked_for(
    tmp_path, toy_lesions, toy_recipe, keep, goes_on_with
):
    recipe, lesions = toy_recipe(epochs=2), toy_lesions()
    whole = fit(tmp_path / "whole", recipe, lesions)
    assert whole.threads == 1
    with pytest.raises(Interrupted):
        fit(tmp_path / "parts", recipe, lesions, progress=StopAt(whole.steps - 1))
    with with_threads(2):
        report = fit(tmp_path / "parts", recipe, lesions, keep_threads=keep)
    assert report.resumed_at_step == whole.steps - 1
    assert report.threads == goes_on_with
    if keep:
        assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


def test_fp16_with_its_loss_scale_resumes_to_the_bit(tmp_path, toy_lesions, toy_recipe):
    lesions, recipe, rows = toy_lesions(), toy_recipe(precision="fp16", epochs=1), ROWS[:16]
    whole = fit(tmp_path / "whole", recipe, lesions, rows)
    with pytest.raises(Interrupted):
        fit(tmp_path / "parts", recipe, lesions, rows, progress=StopAt(1))
    assert fit(tmp_path / "parts", recipe, lesions, rows).resumed_at_step == 1
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    assert whole.precision == "fp16"


def test_state_saved_by_the_clock_survives_a_kill(tmp_path, toy_lesions, toy_recipe):
    class Killed(BaseException):
        pass

    def kill(done: int, total: int, **figures: float) -> None:
        if done == 7:
            raise Killed

    lesions, recipe = toy_lesions(), toy_recipe(epochs=2, checkpoint_seconds=1e-9)
    fit(tmp_path / "whole", recipe, lesions)
    with pytest.raises(Killed):
        fit(tmp_path / "parts", recipe, lesions, progress=kill)
    report = fit(tmp_path / "parts", recipe, lesions)
    assert report.resumed_at_step == 6
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


def test_a_fit_keeps_its_precision_and_its_clock_over_sittings(tmp_path, toy_lesions, toy_recipe, monkeypatch):
    seconds = itertools.count()
    monkeypatch.setattr(image_models.training.train, "time", SimpleNamespace(monotonic=lambda: float(next(seconds))))
    monkeypatch.setattr(image_models.training.train, "choose_precision", lambda *arguments, **options: "bf16")
    lesions, recipe = toy_lesions(), toy_recipe(epochs=2)
    with pytest.raises(Interrupted):
        fit(tmp_path, recipe, lesions, progress=StopAt(10))
    first = next(seconds)
    monkeypatch.setattr(image_models.training.train, "choose_precision", lambda *arguments, **options: "fp32")
    report = fit(tmp_path, recipe, lesions)
    assert report.precision == "bf16"
    # The clock ticks at every look: about twice a step, and a few times more at the start and the end.
    assert report.seconds > first - 4
    assert report.seconds < next(seconds)


@pytest.mark.parametrize("changed", [{"seed": 8}, {"fingerprint": "another recipe"}])
def test_state_of_another_fit_is_not_taken_up(tmp_path, toy_lesions, toy_recipe, changed):
    lesions, recipe = toy_lesions(), toy_recipe(epochs=1)
    with pytest.raises(Interrupted):
        fit(tmp_path / "a", recipe, lesions, progress=StopAt(2), **changed)
    report = fit(tmp_path / "a", recipe, lesions)
    fit(tmp_path / "b", recipe, lesions)
    assert report.resumed_at_step is None
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_damaged_state_is_said_and_not_taken_up(tmp_path, toy_lesions, toy_recipe, caplog):
    lesions, recipe = toy_lesions(), toy_recipe(epochs=1)
    with pytest.raises(Interrupted):
        fit(tmp_path, recipe, lesions, progress=StopAt(2))
    state = tmp_path / "last.safetensors"
    state.write_bytes(state.read_bytes()[:-100])
    with caplog.at_level(logging.WARNING):
        assert fit(tmp_path, recipe, lesions).resumed_at_step is None
    assert "last.safetensors cannot be read" in caplog.text


def test_finished_fold_is_not_trained_again_unless_something_changed(tmp_path, toy_lesions, toy_recipe):
    lesions, recipe = toy_lesions(), toy_recipe(epochs=1)
    calls: list[int] = []

    def listen(done: int, total: int, **figures: float) -> None:
        calls.append(done)

    first = fit(tmp_path, recipe, lesions, progress=listen)
    assert calls == list(range(1, first.steps + 1))
    calls.clear()
    assert fit(tmp_path, recipe, lesions, progress=listen) == first
    assert calls == []
    fit(tmp_path, recipe, lesions, progress=listen, fingerprint="another")
    assert calls == list(range(1, first.steps + 1))
