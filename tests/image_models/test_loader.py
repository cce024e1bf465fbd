from types import SimpleNamespace

import numpy as np
import pytest
import torch

from data.images.shards import Shards
from image_models.networks.metadata_shape import MetadataShape
from image_models.training import loader
from image_models.training.loader import Resident, batches, gathered, resident_images

CPU = torch.device("cpu")


def parts_of(*sizes: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 60, size) for size in sizes]


@pytest.mark.parametrize("kept", ["array", "memory map", "shards"])
@pytest.mark.parametrize("resident", [False, True])
def test_batches_hold_what_was_asked_for_in_order(tmp_path, toy_lesions, kept, resident):
    images = given = toy_lesions().images
    if kept == "memory map":
        np.save(tmp_path / "images.npy", images)
        given = np.load(tmp_path / "images.npy", mmap_mode="r")
    if kept == "shards":
        given = Shards((images[:20], images[20:21], images[21:]))
    metadata = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    shape = MetadataShape(("age", "sex = female", "sex = male"), groups=((0,), (1, 2)))
    lesions = toy_lesions(images=given, metadata=metadata, metadata_shape=shape)
    parts = parts_of(8, 8, 1, 8, 8, 3)
    rows = np.unique(np.concatenate(parts))
    held = Resident(rows, torch.from_numpy(images[rows])) if resident else None
    found = list(batches(lesions, lesions.target, parts, CPU, held))
    assert len(found) == len(parts)
    for batch, part in zip(found, parts, strict=True):
        np.testing.assert_array_equal(batch.rows, part)
        np.testing.assert_array_equal(batch.images.numpy(), images[part])
        np.testing.assert_array_equal(batch.labels.numpy(), lesions.target[part])
        np.testing.assert_array_equal(batch.metadata.numpy(), metadata[part])


def test_nothing_asked_for_is_nothing_given(toy_lesions):
    assert list(batches(toy_lesions(), toy_lesions().target, [], CPU)) == []


def test_failures_of_the_reading_thread_arrive():
    class Broken:
        shape = (5, 2, 2, 3)

        def __array__(self, *arguments: object, **options: object) -> np.ndarray:
            raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        list(gathered(Broken(), parts_of(2), CPU))  # type: ignore[arg-type]


def test_leaving_early_stops_the_reading_thread(toy_lesions):
    import threading

    stream = gathered(toy_lesions().images, parts_of(*[4] * 50), CPU)
    next(stream)
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("gather")]


def test_on_a_cpu_images_stay_in_the_pack(toy_lesions, toy_recipe):
    for resident in ("auto", "device", "host"):
        assert resident_images(toy_recipe(resident=resident), toy_lesions(), np.arange(5), CPU) is None


def test_another_device_takes_the_images_it_is_told_to(toy_lesions, toy_recipe):
    # The meta device has shapes but no memory: enough to see what would be uploaded.
    lesions, meta = toy_lesions(), torch.device("meta")
    held = resident_images(toy_recipe(resident="device"), lesions, np.arange(3, 40), meta)
    assert held is not None
    assert held.images.shape == (37, 24, 24, 3)
    assert resident_images(toy_recipe(resident="auto"), lesions, np.arange(3, 40), meta) is None


def test_images_take_an_eighth_of_what_a_gpu_has_free_and_no_more(toy_lesions, toy_recipe, monkeypatch):
    lesions, rows, empty = toy_lesions(), np.arange(60), torch.empty
    size = 60 * 24 * 24 * 3
    cuda = SimpleNamespace(type="cuda")
    monkeypatch.setattr(torch, "empty", lambda *shape, device=None, **options: empty(*shape, dtype=torch.uint8))
    monkeypatch.setattr(loader, "gathered", lambda images, parts, device: iter(()))
    monkeypatch.setattr(loader, "free_memory_bytes", lambda device: 8 * size)
    assert resident_images(toy_recipe(), lesions, rows, cuda).images.shape == (60, 24, 24, 3)
    monkeypatch.setattr(loader, "free_memory_bytes", lambda device: 8 * size - 1)
    assert resident_images(toy_recipe(), lesions, rows, cuda) is None
    assert resident_images(toy_recipe(resident="device"), lesions, rows, cuda) is not None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_resident_and_gathered_images_are_the_same(toy_lesions, toy_recipe):
    lesions, cuda, parts = toy_lesions(), torch.device("cuda"), parts_of(8, 8, 8, 8, 3)
    held = resident_images(toy_recipe(), lesions, np.arange(60), cuda)
    assert held is not None
    assert held.images.is_cuda
    for source in (held, None):
        for batch, part in zip(batches(lesions, lesions.target, parts, cuda, source), parts, strict=True):
            np.testing.assert_array_equal(batch.images.cpu().numpy(), lesions.images[part])
