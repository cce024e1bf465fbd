"""What is done differently on a GPU, without one: by devices that exist in name alone."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import image_models.frozen
import image_models.networks.model_file
import image_models.training.train
from data.errors import Interrupted
from image_models.frozen import kept_vectors
from image_models.networks.zoo import build
from image_models.predict import predict
from image_models.setup import Setup
from image_models.training import ddp_model, loader
from image_models.training.augment import augment
from image_models.training.inputs import Shown, predicted_at_once
from image_models.training.train import FoldTask, Places, train_fold

pytestmark = pytest.mark.usefixtures("single_threaded")

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
ROWS = np.arange(48)


@pytest.fixture
def stop():
    """A listener that asks to stop behind the third step."""

    def listen(done, total, **figures):
        if done == 3:
            raise Interrupted(130)

    return listen


def test_a_fit_begun_without_loss_scaling_goes_on_with_it(tmp_path, toy_lesions, toy_recipe, monkeypatch, stop):
    """As from an Ampere card, or a CPU, to one that has fp16 units alone."""
    task, places = FoldTask(toy_recipe(epochs=1), toy_lesions(), ROWS, 7, "x"), Places(tmp_path)
    with pytest.raises(Interrupted):
        train_fold(task, places, device="cpu", progress=stop)
    monkeypatch.setattr(image_models.training.train, "goes_on_in", lambda *arguments: False)
    monkeypatch.setattr(image_models.training.train, "choose_precision", lambda *arguments, **options: "fp16")
    report = train_fold(task, places, device="cpu").report
    assert (report.precision, report.resumed_at_step) == ("fp16", 3)


def test_one_stream_per_gpu_makes_all_items(monkeypatch):
    made = []

    class Stream:
        def __init__(self, device):
            made.append(device)

        def wait_stream(self, other):
            pass

    class Working:
        def __init__(self, stream):
            pass

        def __enter__(self):
            pass

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", Working)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(wait_stream=lambda other: None))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    loader.side_stream.cache_clear()
    item = SimpleNamespace(tensors=list)
    for device in (CUDA, torch.device("cuda:0"), CUDA, torch.device("cuda:1")):
        assert list(loader.overlapped(iter([item, item]), device)) == [item, item]
    loader.side_stream.cache_clear()
    assert made == [0, 1]


def test_images_move_to_stay_in_small_blocks(toy_lesions, toy_recipe, monkeypatch):
    blocks = []
    original = loader.gathered

    def spy(images, parts, device):
        blocks.extend(len(part) for part in parts)
        return original(images, parts, device)

    monkeypatch.setattr(loader, "gathered", spy)
    held = loader.resident_images(toy_recipe(resident="device"), toy_lesions(600), np.arange(600), torch.device("meta"))
    assert blocks == [256, 256, 88]
    assert len(held.images) == 600


def test_several_threads_gather_for_a_gpu_and_keep_the_order(toy_lesions, monkeypatch):
    workers = []
    pool, empty = loader.ThreadPoolExecutor, torch.empty

    def spy(count, **options):
        workers.append(count)
        return pool(count, **options)

    monkeypatch.setattr(loader, "ThreadPoolExecutor", spy)
    monkeypatch.setattr(torch, "empty", lambda *shape, pin_memory, **options: empty(*shape, **options))
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *arguments, **options: self)
    lesions = toy_lesions()
    parts = [np.random.default_rng(seed).integers(0, 60, 5) for seed in range(20)]
    for device in (CPU, CUDA):
        for block, rows in zip(loader.gathered(lesions.images, parts, device), parts, strict=True):
            np.testing.assert_array_equal(block.numpy(), lesions.images[rows])
    assert workers[0] == 1
    assert 2 <= workers[1] <= 4


@pytest.mark.parametrize(
    ("size", "batch", "on_gpu"), [(64, 256, 1024), (224, 256, 1024), (256, 256, 1024), (512, 256, 256), (1024, 16, 64)]
)
def test_a_gpu_predicts_more_small_images_at_once(toy_recipe, size, batch, on_gpu):
    recipe = toy_recipe(image_size=size, predict_batch_size=batch)
    assert predicted_at_once(recipe, CUDA) == on_gpu
    assert predicted_at_once(recipe, CPU) == batch


def test_only_the_device_in_use_has_its_random_state_put_aside(monkeypatch):
    forked = []
    original = torch.random.fork_rng

    def spy(devices):
        forked.append(set(devices))
        return original(devices=[])

    monkeypatch.setattr(torch.random, "fork_rng", spy)

    class OnSecondGpu(Shown):
        def tensors(self):
            return [SimpleNamespace(device=torch.device("cuda:1"))]

    class Asking(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 1)

        def forward(self, pixels, vectors, metadata):
            return self.layer(vectors)

    for kind in (Shown, OnSecondGpu):
        assert not ddp_model.has_unused_weights(Asking(), kind(None, torch.ones(2, 2), None))
    assert forked == [set(), {torch.device("cuda:1")}]


def test_a_fold_s_network_is_built_once(tmp_path, toy_lesions, toy_recipe, monkeypatch):
    built = []

    def count(*arguments, **options):
        built.append(1)
        return build(*arguments, **options)

    monkeypatch.setattr(image_models.training.train, "build", count)
    monkeypatch.setattr(image_models.networks.model_file, "build", count)
    recipe, lesions = toy_recipe(epochs=1), toy_lesions()
    task, places = FoldTask(recipe, lesions, ROWS, 7, "x"), Places(tmp_path)
    fresh = train_fold(task, places, device="cpu").network
    found = predict(fresh, recipe, lesions, np.arange(48, 60), device="cpu")
    assert built == [1]
    # A fold that was finished before is read from its file.
    again = train_fold(task, places, device="cpu").network
    assert built == [1, 1]
    np.testing.assert_array_equal(predict(again, recipe, lesions, np.arange(48, 60), device="cpu"), found)


def test_vectors_leave_the_device_once(toy_lesions, toy_recipe, monkeypatch):
    recipe = toy_recipe(frozen=True, predict_batch_size=8)
    moved = []
    original = torch.Tensor.cpu

    def spy(self):
        moved.append(len(self))
        return original(self)

    monkeypatch.setattr(torch.Tensor, "cpu", spy)
    kept_vectors(build(recipe, 2), recipe, toy_lesions(), np.arange(60), Setup(CPU, "fp32"))
    assert moved == [60]


def test_colours_need_no_matrix_to_be_inverted_at_every_step(toy_recipe, monkeypatch):
    monkeypatch.setattr(torch.linalg, "inv", None)
    images = torch.zeros(2, 8, 8, 3, dtype=torch.uint8)
    assert augment(images, toy_recipe().augment, 8, torch.Generator()).shape == (2, 3, 8, 8)
