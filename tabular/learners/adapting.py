"""What the adapters of the libraries have in common: shares of gain, complaints, names, devices."""

import ctypes
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data.errors import DataError, TrainingError
from tabular.learners.learner import Device, Floats, Learner


def shares(gain: npt.ArrayLike) -> Floats:
    """Gains scaled to sum to one; all zero stays zero."""
    gains = np.asarray(gain, dtype=np.float64)
    total = gains.sum()
    return gains / total if total > 0 else np.zeros_like(gains)


def refusal(library: str, error: Exception) -> TrainingError:
    """A library's own complaint as one message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return TrainingError(f"{library} refused to train: {lines[0] if lines else error!r}; check the member's parameters")


def plain_names(names: Sequence[str]) -> list[str]:
    """Names that every model format can hold (LightGBM splits at spaces; XGBoost refuses brackets), still distinct."""
    plain = [re.sub(r"[^0-9A-Za-z_.%/+*^-]", "_", name) for name in names]
    return [f"{name}_{i}" if plain.count(name) > 1 else name for i, name in enumerate(plain)]


def model_bytes(library: str, path: Path) -> bytes:
    """A model file; DataError when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{library} model {path} cannot be read: {error.strerror}; train the member again") from error


def usable_device(learner: Learner, wanted: Device) -> tuple[Device, str | None]:
    """Settle `auto`, with a sentence for the report when it had to give way; refuse `gpu` where there is none."""
    if wanted == "cpu" or (wanted == "auto" and learner.gpu != "cuda"):
        return "cpu", None
    if learner.gpu is None:
        raise TrainingError(f"{learner.name} trains on the CPU alone; set device = 'auto' or 'cpu'")
    if learner.gpu == "opencl" or cuda_gpus():
        return "gpu", None
    if wanted == "auto":
        return "cpu", f"no CUDA GPU was found, so {learner.name} trained on the CPU"
    raise TrainingError(f"{learner.name} is to train on a GPU, but no CUDA GPU was found; set device = 'auto' or 'cpu'")


@cache
def cuda_gpus() -> int:
    """Number of CUDA devices, asked of the driver because this package does not need torch."""
    with suppress(OSError, AttributeError):
        driver = ctypes.CDLL("libcuda.so.1")
        count = ctypes.c_int(0)
        if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0:
            return count.value
    return 0
