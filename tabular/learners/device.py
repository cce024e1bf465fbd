"""Where a learner trains: on the CPU, or on a GPU where there is one and the learner has a use for it."""

import ctypes
from contextlib import suppress
from functools import cache

from data.errors import TrainingError
from tabular.learners.learner import Device, Learner


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
