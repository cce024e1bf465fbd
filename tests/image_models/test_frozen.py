import dataclasses
import fcntl
import logging
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import image_models.frozen
import image_models.predict
import image_models.training.fit
import image_models.training.optimise
from data.errors import Interrupted, TrainingError
from data.scores.ranking import auc
from image_models.frozen import kept_vectors
from image_models.networks.zoo import build, build_backbone
from image_models.predict import load_model, predict
from image_models.recipe import AugmentRecipe, MetadataRecipe
from image_models.setup import Setup
from image_models.training.augment import prepare
from image_models.training.train import FoldTask, Places, train_fold

pytestmark = pytest.mark.usefixtures("single_threaded")

ROWS, HELD_OUT = np.arange(48), np.arange(48, 60)
STILL = AugmentRecipe(
    crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0), rotation_degrees=0, flip=False, brightness=0, contrast=0,
    saturation=0, hue=0,
)  # fmt: skip
CPU = Setup(torch.device("cpu"), "fp32")


def fit(folder: Path, recipe: Any, lesions: Any, **options: Any) -> Any:
    task, places = FoldTask(recipe, lesions, ROWS, 7, "f"), Places(folder, cache_dir=options.pop("cache_dir", None))
    return train_fold(task, places, **{"device": "cpu", **options}).report


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.fixture
def toy_recipe(toy_recipe):
    """The toy recipe in fp32, which with a cache folder would be up to a measurement."""
    return partial(toy_recipe, precision="fp32")


@pytest.fixture
def frozen(toy_recipe):
    """A frozen toy network, told an age and a site."""
    return toy_recipe(
        frozen=True, epochs=4, learning_rate=3e-2, metadata=MetadataRecipe(columns=("age", "site"), widths=(4,))
    )


@pytest.mark.parametrize("second", [{}, {"second_backbone": "custom_cnn", "second_image_size": 48}])
def test_vectors_are_those_of_the_network_in_evaluation(toy_lesions, toy_recipe, second):
    recipe, lesions, rows = toy_recipe(frozen=True, **second), toy_lesions(), np.array([3, 17, 59])
    model = build(recipe, 2)
    model.train()
    kept = kept_vectors(model, recipe, lesions, rows, CPU)
    np.testing.assert_array_equal(kept.rows, rows)
    images = prepare(torch.from_numpy(lesions.images[rows]), recipe.input_size)
    with torch.no_grad():
        torch.testing.assert_close(kept.images, model.eval().image_vectors(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cached", [False, True])
def test_equals_training_the_whole_network_with_its_branches_standing_still(
    tmp_path, toy_lesions, told, frozen, monkeypatch, cached
):
    lesions = dataclasses.replace(told(toy_lesions()), images_fingerprint="toy")
    cache_dir = tmp_path / "cache" if cached else None
    fit(tmp_path / "frozen", frozen, lesions, cache_dir=cache_dir)
    groups = image_models.training.optimise.parameter_groups

    def standing_still(model: nn.Module, recipe: Any) -> list[dict[str, Any]]:
        for branch in model.branches:  # type: ignore[union-attr]
            branch.hold()
        return groups(model, recipe)

    monkeypatch.setattr(image_models.training.optimise, "parameter_groups", standing_still)
    whole = dataclasses.replace(frozen, frozen=False, freeze_batch_norm=True, augment=STILL)
    fit(tmp_path / "whole", whole, lesions)
    one, other = weights(tmp_path / "frozen"), weights(tmp_path / "whole")
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], rtol=1e-3, atol=1e-4)
    start = fit(tmp_path / "short", dataclasses.replace(frozen, epochs=1), lesions)
    assert start.steps < 48
    head = "head.classifier.0.weight"
    assert not torch.allclose(one[head], weights(tmp_path / "short")[head], atol=1e-3)


def test_learns_and_predicts_alike_from_kept_vectors_and_from_images(tmp_path, toy_lesions, told, frozen, monkeypatch):
    lesions = dataclasses.replace(told(toy_lesions()), images_fingerprint="toy")
    recipe = dataclasses.replace(frozen, epochs=12)
    fit(tmp_path, recipe, lesions, cache_dir=tmp_path / "cache")
    model = load_model(tmp_path / "model.safetensors", recipe, 2)
    from_images = predict(model, recipe, lesions, HELD_OUT, device="cpu")
    monkeypatch.setattr(type(model), "image_vectors", None)  # nothing may be computed any more
    from_disk = predict(model, recipe, lesions, HELD_OUT, device="cpu", cache_dir=tmp_path / "cache")
    np.testing.assert_allclose(from_disk, from_images, atol=1e-5)
    assert auc(lesions.target[HELD_OUT], from_disk[:, 0]) > 0.8
    assert predict(model, recipe, lesions, HELD_OUT[:0], device="cpu", cache_dir=tmp_path / "cache").shape == (0, 1)


def test_images_are_read_once_whatever_the_number_of_epochs(tmp_path, toy_lesions, toy_recipe, monkeypatch):
    seen: list[int] = []
    original = image_models.frozen.plain_inputs

    def spy(recipe: Any, lesions: Any, rows: Any, *rest: Any) -> Any:
        seen.extend(rows)
        return original(recipe, lesions, rows, *rest)

    monkeypatch.setattr(image_models.frozen, "plain_inputs", spy)
    lesions = toy_lesions(images_fingerprint="toy")
    for epochs in (2, 5):
        recipe = toy_recipe(frozen=True, epochs=epochs, select="best", inner_share=0.3)
        fit(tmp_path / str(epochs), recipe, lesions, cache_dir=tmp_path / "cache")
    assert sorted(seen) == list(range(60))


def test_what_is_kept_belongs_to_its_images_weights_and_size(tmp_path, toy_lesions, toy_recipe):
    recipe, rows = toy_recipe(frozen=True), np.arange(60)
    torch.manual_seed(0)
    one, other = build(recipe, 2), build(recipe, 2)
    folder = tmp_path / "image_vectors"

    def count(model: nn.Module, lesions: Any, recipe: Any = recipe) -> int:
        kept_vectors(model, recipe, lesions, rows, CPU, cache_dir=tmp_path)
        return len(list(folder.iterdir()))

    lesions = toy_lesions(images_fingerprint="a")
    assert count(one, lesions) == 1
    with torch.no_grad():
        one.classifier[0].weight.add_(1)  # the head is above the vectors
    assert count(one, lesions) == 1
    assert count(other, lesions) == 2
    assert count(one, toy_lesions(images_fingerprint="b")) == 3
    assert count(one, lesions, dataclasses.replace(recipe, image_size=40)) == 4
    assert count(one, toy_lesions()) == 4  # without a name for the images nothing is kept


def test_parts_are_kept_on_interruption_and_mended_when_damaged(tmp_path, toy_lesions, toy_recipe, monkeypatch, caplog):
    monkeypatch.setattr(image_models.frozen, "PART_ROWS", 16)
    recipe = toy_recipe(frozen=True, predict_batch_size=8)
    present = np.arange(60) % 7 != 0
    lesions, rows = toy_lesions(present=present, images_fingerprint="a"), np.flatnonzero(present)
    model = build(recipe, 2)
    expected = kept_vectors(model, recipe, lesions, rows, CPU)

    def stop(done: int, total: int, **figures: float) -> None:
        assert total == len(rows)
        if done > 30:
            raise Interrupted(130)

    with pytest.raises(Interrupted):
        kept_vectors(model, recipe, lesions, rows, CPU, cache_dir=tmp_path, progress=stop)
    parts = sorted(tmp_path.rglob("*.safetensors"))
    assert len(parts) == 2
    written = [part.stat().st_mtime_ns for part in parts]
    heard: list[int] = []
    found = kept_vectors(
        model, recipe, lesions, rows, CPU, cache_dir=tmp_path, progress=lambda done, total, **_: heard.append(done)
    )
    torch.testing.assert_close(found.images, expected.images, rtol=1e-5, atol=1e-6)
    assert [part.stat().st_mtime_ns for part in parts] == written
    assert heard[0] > 16
    assert heard[-1] == len(rows)
    for damage in (lambda raw: raw[:-9], lambda raw: raw[:-9] + bytes(9), lambda raw: b""):
        parts[1].write_bytes(damage(parts[1].read_bytes()))
        with caplog.at_level(logging.WARNING):
            again = kept_vectors(model, recipe, lesions, rows[20:30], CPU, cache_dir=tmp_path)
        assert torch.equal(again.images, found.images[20:30])
        assert "is damaged" in caplog.text
        caplog.clear()


def test_processes_share_the_parts_out(tmp_path, toy_lesions, toy_recipe, monkeypatch):
    """A part that another process is at is left to it: here that one makes it while this one is at the next."""
    monkeypatch.setattr(image_models.frozen, "PART_ROWS", 16)
    recipe, lesions, rows = toy_recipe(frozen=True), toy_lesions(images_fingerprint="a"), np.arange(60)
    model = build(recipe, 2)
    whole = kept_vectors(model, recipe, lesions, rows, CPU, cache_dir=tmp_path)
    first, *others = sorted(tmp_path.rglob("*.safetensors"))
    made = first.read_bytes()
    for part in (first, *others):
        part.unlink()
    computed: list[int] = []
    original = image_models.frozen.plain_inputs

    def other_finishes(recipe: Any, lesions: Any, rows: Any, *rest: Any) -> Any:
        computed.extend(rows)
        if not first.exists():
            first.write_bytes(made)
            other.close()
        return original(recipe, lesions, rows, *rest)

    monkeypatch.setattr(image_models.frozen, "plain_inputs", other_finishes)
    other = first.with_suffix(".lock").open("wb")
    fcntl.flock(other, fcntl.LOCK_EX)
    found = kept_vectors(model, recipe, lesions, rows, CPU, cache_dir=tmp_path)
    assert computed == list(range(16, 60))
    assert torch.equal(found.images, whole.images)


@pytest.mark.parametrize("cached", [False, True])
def test_interrupted_and_resumed_equals_uninterrupted_to_the_bit(tmp_path, toy_lesions, told, frozen, cached):
    lesions = dataclasses.replace(told(toy_lesions()), images_fingerprint="toy")
    torch.manual_seed(5)
    # Weights that a network built again from its seed does not have: a resumed fit must find them in its state.
    save_file(build_backbone(frozen).state_dict(), tmp_path / "lesion_net.safetensors")
    recipe = dataclasses.replace(
        frozen, select="best", inner_share=0.3, schedule="plateau", stop_after=3, epochs=6,
        pretrained=str(tmp_path / "lesion_net.safetensors"),
    )  # fmt: skip

    def stopping(at: int) -> Any:
        def stop(done: int, total: int, **figures: float) -> None:
            if "loss" in figures and done == at:
                raise Interrupted(130)

        return stop

    caches = {name: tmp_path / f"{name} cache" if cached else None for name in ("whole", "parts")}
    whole = fit(tmp_path / "whole", recipe, lesions, cache_dir=caches["whole"])
    for at in (2, whole.steps // 2 + 1, whole.steps):
        with pytest.raises(Interrupted):
            fit(tmp_path / "parts", recipe, lesions, cache_dir=caches["parts"], progress=stopping(at))
    resumed = fit(tmp_path / "parts", recipe, lesions, cache_dir=caches["parts"])
    assert resumed.resumed_at_step == whole.steps
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_full_memory_does_not_name_the_image_size(tmp_path, toy_lesions, told, frozen, monkeypatch):
    def fail(*arguments: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(image_models.training.fit, "summed_loss", fail)
    with pytest.raises(TrainingError, match=r"out of memory: lower batch_size \(now 8[^)]*\) \(CUDA"):
        fit(tmp_path, frozen, told(toy_lesions()))
