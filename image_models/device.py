"""The machine a network runs on: which device, reproducible settings, memory used and memory run out."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from data.errors import TrainingError
from image_models.gpu import refuse_without_kernels, warn_of_unseen_gpu


def choose_device(name: str) -> torch.device:
    """`auto` is a CUDA GPU if there is one, else the CPU; any other name must be a device that is really there."""
    device = _named_device(name)
    if device.type == "cuda":
        refuse_without_kernels(device)
    elif name == "auto":
        warn_of_unseen_gpu()
    return device


def _named_device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise TrainingError(f"device {name!r} is not a device: use auto, cpu, cuda, cuda:1 or mps") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise TrainingError(f"device {name!r}: {torch.cuda.device_count()} CUDA devices found here; use auto or cpu")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise TrainingError(f"device {name!r}: no Apple GPU found here; use auto or cpu")
    return device


@contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """Settings under which a fit runs; random states and switches of the caller are restored afterwards.

    On the CPU deterministic algorithms cost nothing, so they are required. On CUDA they would slow convolutions down;
    there cuDNN picks the fastest algorithm for the one image shape of a fit, and two runs agree up to rounding.
    """
    deterministic = torch.are_deterministic_algorithms_enabled()
    filling = torch.utils.deterministic
    filled = filling.fill_uninitialized_memory  # type: ignore[attr-defined]
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda), fastest_convolutions(device):
        try:
            torch.use_deterministic_algorithms(device.type == "cpu")
            # Filling fresh memory with NaN is a debugging aid that would cost a pass over every activation.
            filling.fill_uninitialized_memory = False  # type: ignore[attr-defined]
            if cuda:
                torch.cuda.reset_peak_memory_stats(device)
            yield
        finally:
            torch.use_deterministic_algorithms(deterministic)
            filling.fill_uninitialized_memory = filled  # type: ignore[attr-defined]


@contextmanager
def fastest_convolutions(device: torch.device) -> Iterator[None]:
    """Let cuDNN try its algorithms once per image shape and keep the fastest; its other settings stay the caller's."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = before or device.type == "cuda"
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def peak_memory_bytes(device: torch.device) -> int:
    """Most memory taken so far: allocated on a CUDA device, resident in the process otherwise."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def device_name(device: torch.device) -> str:
    """Name for a report: the GPU's own, else the kind of device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def free_memory_bytes(device: torch.device) -> int:
    """Memory of a CUDA device that a new tensor could take."""
    free, _ = torch.cuda.mem_get_info(device)
    reserved = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return free + reserved


@contextmanager
def explained_out_of_memory(remedy: str, device: torch.device) -> Iterator[None]:
    """Turn the many ways a device says that its memory is full into one `TrainingError` with the remedy."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        first_line = str(error).split("\n", 1)[0]
        signs = ("out of memory", "can't allocate memory", "ALLOC_FAILED", "not enough memory")
        if not isinstance(error, torch.OutOfMemoryError | MemoryError) and not any(
            sign in str(error) for sign in signs
        ):
            raise
        raise TrainingError(f"{device} ran out of memory: {remedy} ({first_line})") from error
