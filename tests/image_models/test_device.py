import contextlib

import psutil
import pytest
import torch

from data.errors import TrainingError
from image_models.device import choose_device, explained_out_of_memory, peak_memory_bytes, reproducible

CPU = torch.device("cpu")


def test_auto_is_the_gpu_that_is_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert choose_device("auto") == torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == CPU


def test_devices_that_are_not_there_are_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert choose_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(TrainingError, match="'cuda:1': 1 CUDA devices found"):
        choose_device("cuda:1")
    with pytest.raises(TrainingError, match="'gpu' is not a device"):
        choose_device("gpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(TrainingError, match="no Apple GPU"):
        choose_device("mps")


def test_settings_and_random_state_are_put_back_even_after_an_error():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    with contextlib.suppress(KeyError), reproducible(CPU):
        torch.manual_seed(99)
        assert torch.are_deterministic_algorithms_enabled()
        raise KeyError
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
        MemoryError(),
    ],
)
def test_every_way_of_running_out_of_memory_is_explained(error):
    with (
        pytest.raises(TrainingError, match="cpu ran out of memory: eat less") as caught,
        explained_out_of_memory("eat less", CPU),
    ):
        raise error
    assert caught.value.__cause__ is error


def test_a_real_allocation_failure_is_recognised():
    with pytest.raises(TrainingError, match="ran out of memory"), explained_out_of_memory("eat less", CPU):
        torch.empty(2**60, dtype=torch.uint8)


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="shape"), explained_out_of_memory("eat less", CPU):
        raise RuntimeError("shape mismatch")


def test_peak_memory_is_in_bytes():
    # Rounded differently by the kernel, the peak may lie a little under what is held now.
    held = psutil.Process().memory_info().rss
    assert 0.9 * held < peak_memory_bytes(CPU) < psutil.virtual_memory().total
