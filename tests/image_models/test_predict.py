import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from data.errors import Interrupted, TrainingError
from image_models.networks.model_file import save_model
from image_models.networks.zoo import build
from image_models.predict import load_model, predict
from image_models.training.augment import prepare
from image_models.training.loader import Resident

pytestmark = pytest.mark.usefixtures("single_threaded")

KEY = {"fingerprint": "toy", "seed": 1}


@pytest.fixture
def trained(tmp_path, toy_recipe):
    """A network with lively weights, saved; in place of a trained one."""
    torch.manual_seed(0)
    recipe = toy_recipe()
    model = build(recipe, 2).eval()
    with torch.no_grad():
        for parameter in model.classifier.parameters():
            parameter.normal_(0, 0.5)
    save_model(tmp_path / "model.safetensors", model.state_dict(), recipe, 2, KEY)
    return tmp_path / "model.safetensors", model, recipe


def test_probabilities_are_the_sigmoid_of_the_networks_logits(trained, toy_lesions):
    path, model, recipe = trained
    lesions, rows = toy_lesions(), np.array([5, 3, 59, 3])
    probability = predict(load_model(path, recipe, 2), recipe, lesions, rows, device="cpu")
    assert probability.shape == (4, 1)
    assert probability.dtype == np.float64
    for row, value in zip(rows, probability[:, 0], strict=True):
        with torch.no_grad():
            logit = model(prepare(torch.from_numpy(lesions.images[[row]]), recipe.image_size)).item()
        assert value == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-6)
    assert probability[1] == probability[3]


def test_many_classes_get_a_column_each(toy_lesions, toy_recipe):
    lesions, recipe = toy_lesions(classes=4), toy_recipe()
    probability = predict(build(recipe, 4), recipe, lesions, np.arange(60), device="cpu")
    assert probability.shape == (60, 4)
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-12)


@pytest.mark.parametrize("test_time", ["none", "flips"])
def test_images_that_are_on_the_device_are_those_of_the_pack(trained, toy_lesions, monkeypatch, test_time):
    path, _, recipe = trained
    recipe, rows, lesions = dataclasses.replace(recipe, test_time=test_time), np.array([5, 3, 59, 3, 0]), toy_lesions()
    gathered = predict(load_model(path, recipe, 2), recipe, lesions, rows, device="cpu")
    there = np.flatnonzero(lesions.present)
    held = Resident(there, torch.from_numpy(lesions.images[there]))
    monkeypatch.setattr("image_models.training.loader.gathered", None)
    again = predict(load_model(path, recipe, 2), recipe, lesions, rows, device="cpu", held=held)
    np.testing.assert_array_equal(again, gathered)


@pytest.mark.parametrize("batch", [1, 7, 60])
def test_batch_size_does_not_matter(trained, toy_lesions, batch):
    path, _, recipe = trained
    rows = np.arange(60)
    whole = predict(load_model(path, recipe, 2), recipe, toy_lesions(), rows, device="cpu")
    split = dataclasses.replace(recipe, predict_batch_size=batch)
    np.testing.assert_allclose(
        predict(load_model(path, split, 2), split, toy_lesions(), rows, device="cpu"), whole, atol=2e-6
    )


def test_lesions_without_an_image_get_nan_and_change_nothing_else(trained, toy_lesions):
    path, _, recipe = trained
    present = np.arange(60) % 3 != 0
    rows = np.arange(60)
    whole = predict(load_model(path, recipe, 2), recipe, toy_lesions(), rows, device="cpu")
    partial = predict(load_model(path, recipe, 2), recipe, toy_lesions(present=present), rows, device="cpu")
    assert np.isnan(partial[~present]).all()
    np.testing.assert_allclose(partial[present], whole[present], atol=2e-6)
    none = predict(
        load_model(path, recipe, 2), recipe, toy_lesions(present=np.zeros(60, dtype=np.bool_)), rows, device="cpu"
    )
    assert np.isnan(none).all()
    assert predict(load_model(path, recipe, 2), recipe, toy_lesions(), rows[:0], device="cpu").shape == (0, 1)


@pytest.mark.parametrize(("kind", "views"), [("flips", 4), ("dihedral", 8)])
def test_symmetric_images_are_averaged_as_probabilities(trained, toy_lesions, kind, views):
    path, _, recipe = trained
    lesions = toy_lesions()
    turned = [lesions.images[:8]]
    if kind == "dihedral":
        turned.append(lesions.images[:8].transpose(0, 2, 1, 3))
    copies = [view for each in turned for view in (each, each[:, ::-1], each[:, :, ::-1], each[:, ::-1, ::-1])]
    assert len(copies) == views
    model = load_model(path, recipe, 2)
    single = [
        predict(model, recipe, toy_lesions(8, images=np.ascontiguousarray(copy)), np.arange(8), device="cpu")
        for copy in copies
    ]
    together = predict(model, dataclasses.replace(recipe, test_time=kind), lesions, np.arange(8), device="cpu")
    np.testing.assert_allclose(together, np.mean(single, axis=0), atol=1e-6)
    assert np.ptp(single, axis=0).max() > 1e-4


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_reduced_precision_is_close(trained, toy_lesions, precision):
    path, _, recipe = trained
    whole = predict(load_model(path, recipe, 2), recipe, toy_lesions(), np.arange(10), device="cpu")
    reduced = dataclasses.replace(recipe, precision=precision)
    probability = predict(load_model(path, reduced, 2), reduced, toy_lesions(), np.arange(10), device="cpu")
    np.testing.assert_allclose(probability, whole, atol=0.03)


def test_confident_probabilities_do_not_tie(toy_lesions, toy_recipe):
    class Ladder(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return 20 + torch.arange(len(images), dtype=torch.float32)[:, None] / 4

    probability = predict(Ladder(), toy_recipe(), toy_lesions(), np.arange(40), device="cpu")[:, 0]
    assert (np.diff(probability) > 0).all()
    assert probability.max() <= 1


def test_a_network_that_gives_no_number_is_not_taken_for_a_missing_image(trained, toy_lesions):
    _, model, recipe = trained
    with torch.no_grad():
        model.classifier[0].weight[0, 0] = float("nan")
    with pytest.raises(TrainingError, match=r"no number for 12 of 12 lesions \(first: L004\)"):
        predict(model, recipe, toy_lesions(), np.arange(4, 16), device="cpu")


def test_progress_is_told_and_may_interrupt(trained, toy_lesions):
    _, model, recipe = trained
    heard: list[tuple[int, int]] = []
    small = dataclasses.replace(recipe, predict_batch_size=25)
    predict(model, small, toy_lesions(), np.arange(60), device="cpu", progress=lambda d, t, **f: heard.append((d, t)))
    assert heard == [(25, 60), (50, 60), (60, 60)]

    def stop(done: int, total: int, **figures: float) -> None:
        raise Interrupted(130)

    with pytest.raises(Interrupted):
        predict(model, small, toy_lesions(), np.arange(60), device="cpu", progress=stop)


def test_full_memory_names_the_key(trained, toy_lesions, monkeypatch):
    _, model, recipe = trained

    def fail(*arguments: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(type(model), "forward", fail)
    with pytest.raises(TrainingError, match=r"lower predict_batch_size \(now 256\)"):
        predict(model, recipe, toy_lesions(), np.arange(60), device="cpu")


class TestLoading:
    def test_missing_file(self, trained, tmp_path):
        _, _, recipe = trained
        with pytest.raises(TrainingError, match=r"none\.safetensors does not exist"):
            load_model(tmp_path / "none.safetensors", recipe, 2)

    @pytest.mark.parametrize("kept", [0, 5, 300, -1])
    def test_truncated_file(self, trained, kept):
        path, _, recipe = trained
        path.write_bytes(path.read_bytes()[:kept])
        with pytest.raises(
            TrainingError, match=r"model\.safetensors cannot be read .*truncated, or no safetensors file"
        ):
            load_model(path, recipe, 2)

    def test_another_format(self, trained):
        path, _, recipe = trained
        path.write_bytes(b"PK\x03\x04" + bytes(1000))
        with pytest.raises(TrainingError, match="cannot be read"):
            load_model(path, recipe, 2)

    def test_another_recipe(self, trained):
        path, _, recipe = trained
        other = dataclasses.replace(recipe, backbone="test_vit", hidden=9)
        with pytest.raises(TrainingError, match=r"backbone 'lesion_net' \(the recipe says 'test_vit'\), hidden 8"):
            load_model(path, other, 2)
        with pytest.raises(TrainingError, match=r"classes 2 \(the recipe says 5\)"):
            load_model(path, recipe, 5)

    def test_another_name_is_no_other_network(self, trained):
        path, _, recipe = trained
        load_model(path, dataclasses.replace(recipe, name="other", learning_rate=1.0), 2)

    def test_tensors_missing_unknown_and_of_another_shape(self, trained):
        path, _, recipe = trained
        tensors = load_file(path)
        first = next(name for name in tensors if name.endswith("classifier.0.weight"))
        tensors["stranger"] = tensors.pop(first)
        tensors["classifier.0.bias"] = torch.zeros(3)
        save_file(tensors, path)
        with pytest.raises(TrainingError) as caught:
            load_model(path, recipe, 2)
        for part in (
            "1 missing (classifier.0.weight)",
            "1 unknown (stranger)",
            "classifier.0.bias is (3,) instead of (8,)",
        ):
            assert part in str(caught.value)

    def test_nothing_is_downloaded(self, trained):
        path, _, recipe = trained
        load_model(path, dataclasses.replace(recipe, pretrained="timm"), 2)
