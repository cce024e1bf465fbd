"""Whether PyTorch and the graphics card of this machine go together."""

import logging
import os
import re
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch

from data.errors import TrainingError

log = logging.getLogger(__name__)

KERNELS = re.compile(r"(sm|compute)_(\d+)(\d)([af]?)")
"""`sm_86`: machine code for capability 8.6; `compute_90`: code that the driver translates for 9.0 and later ones."""


def refuse_without_kernels(device: torch.device) -> None:
    """Refuse a card that the installed PyTorch has no code for: its first kernel would fail without a remedy."""
    kernels = torch.cuda.get_arch_list()
    if not kernels:
        return
    capability = torch.cuda.get_device_capability(device)
    if not runs_on(capability, kernels):
        card = f"{torch.cuda.get_device_name(device)} (compute capability {capability[0]}.{capability[1]})"
        raise TrainingError(
            f"the installed PyTorch {torch.__version__} has no kernels for {card}, only {', '.join(kernels)}: install "
            "a build for an older CUDA that still has them (https://pytorch.org/get-started/previous-versions/), take "
            "another card (on Kaggle T4 x2), or hide this one with CUDA_VISIBLE_DEVICES= to compute on the CPU"
        )


def runs_on(capability: tuple[int, int], kernels: Sequence[str]) -> bool:
    """Whether one of the kernels runs on a card: machine code of its generation for at most its capability, or
    translatable code for at most it. Names that are not NVIDIA's are not judged.
    """
    for kernel in kernels:
        found = KERNELS.fullmatch(kernel)
        if found is None:
            return True
        made_for = int(found[2]), int(found[3])
        if made_for == capability:
            return True
        same_generation = made_for[0] == capability[0] or found[1] == "compute"
        # Code with the suffix `a` uses what only this very card has; `f`, what only its generation has.
        if made_for < capability and same_generation and found[4] != "a":
            return True
    return False


@cache
def warn_of_unseen_gpu() -> None:
    """Say, once, that there is a graphics card here that PyTorch cannot use: training would crawl without a word."""
    if hidden() or not (any(Path("/dev").glob("nvidia[0-9]*")) or shutil.which("nvidia-smi")):
        return
    reason = "it was built without CUDA" if torch.version.cuda is None else "its CUDA finds no usable driver"
    log.warning(
        "this machine has an NVIDIA graphics card, but PyTorch %s cannot use it (%s): networks are computed on the CPU "
        "and many times slower; install PyTorch for this driver's CUDA (nvidia-smi names it), or, if the CPU is meant, "
        "set CUDA_VISIBLE_DEVICES=",
        torch.__version__,
        reason,
    )


def hidden() -> bool:
    """Whether the user has hidden all cards from CUDA."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1", "none", "NoDevFiles")
