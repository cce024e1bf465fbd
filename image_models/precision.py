"""In which number format a network computes: chosen by the device, or measured on CPUs that could gain from bf16.

Weights, optimiser and losses are float32 throughout; the format is that of `torch.autocast`. A measured choice would
let two runs differ, so it is made once per machine, network and image size and kept in the caller's cache folder.
"""

import copy
import math
import os
import platform
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from data.files import atomic, fingerprint, read_json, temporary_beside, write_json
from image_models.recipe import ImageModelRecipe

Precision = Literal["fp32", "bf16", "fp16"]

DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
FP16_UNITS, BF16_UNITS = (7, 0), (8, 0)
"""Compute capability of the first cards that multiply matrices of the format in hardware."""
WORTHWHILE = 1.15
"""bf16 must be this much faster on a CPU, so that a noisy measurement near the boundary keeps the exact format."""


def choose_precision(
    recipe: ImageModelRecipe,
    device: torch.device,
    model: nn.Module,
    *,
    cache_dir: Path | None = None,
    metadata_columns: int = 0,
) -> Precision:
    """The recipe's precision, or for `auto`: bf16 on GPUs that have it, fp16 on older ones, fp32 on CPUs.

    A CPU with bf16 units is measured if `cache_dir` is given, once; the choice is read from there ever after.
    """
    if recipe.precision != "auto":
        return recipe.precision
    if recipe.backbone == "none":
        # Whatever works on vectors and metadata computes in float32.
        return "fp32"
    if device.type == "cuda":
        # Volta (7.0) is the first with units for fp16 matrices, Ampere (8.0) with units for bf16. What PyTorch has no
        # kernels for, of late everything before Turing (7.5), `choose_device` has refused.
        capability = torch.cuda.get_device_capability(device)
        return "bf16" if capability >= BF16_UNITS else "fp16" if capability >= FP16_UNITS else "fp32"
    if device.type == "cpu" and cache_dir is not None and cpu_has_bf16_units():
        return remembered_cpu_precision(recipe, model, cache_dir, metadata_columns)
    return "fp32"


def goes_on_in(precision: Precision, begun_on: str, device: torch.device) -> bool:
    """Whether a fit begun in a format on a kind of device (`cpu`, `cuda`) goes on in it here: if this device has it."""
    if device.type == "cuda":
        return precision != "bf16" or torch.cuda.get_device_capability(device) >= BF16_UNITS
    if begun_on == device.type or precision == "fp32":
        return True
    return precision == "bf16" and device.type == "cpu" and cpu_has_bf16_units()


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Context in which the forward pass runs."""
    return nullcontext() if precision == "fp32" else torch.autocast(device.type, DTYPES[precision])


def cpu_has_bf16_units() -> bool:
    """Whether this CPU multiplies bf16 matrices in hardware (AMX or AVX-512 BF16)."""
    # No public query exists; an older or newer PyTorch without these answers no.
    queries = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return any(query() for query in queries if query is not None)


def remembered_cpu_precision(
    recipe: ImageModelRecipe, model: nn.Module, cache_dir: Path, metadata_columns: int = 0
) -> Precision:
    """The choice made before on this machine for this network and size; measured and written if there is none."""
    key = {
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "backbone": recipe.backbone,
        "second_backbone": recipe.second_backbone,
        "head": recipe.head,
        "frozen": recipe.frozen,
        "image_size": recipe.image_size,
        "second_image_size": recipe.second_image_size,
        "batch_size": recipe.batch_size,
        "channels_last": recipe.channels_last,
    }
    path = cache_dir / "cpu_precision" / f"{fingerprint(key)[:16]}.json"
    if not path.exists():
        seconds = cpu_seconds_per_step(model, recipe, metadata_columns)
        chosen = "bf16" if seconds["fp32"] > WORTHWHILE * seconds["bf16"] else "fp32"
        finite = {name: value if math.isfinite(value) else None for name, value in seconds.items()}
        write_once(path, {**key, "seconds_per_step": finite, "precision": chosen})
    precision: Precision = read_json(path)["precision"]
    return precision


def cpu_seconds_per_step(
    model: nn.Module, recipe: ImageModelRecipe, metadata_columns: int = 0, repeats: int = 3
) -> dict[Precision, float]:
    """Seconds of a forward and backward pass on random images on the CPU, in fp32 and bf16 by turns, best of `repeats`.

    Works on a copy: batch statistics and gradients of the model stay as they are.
    """
    trial = copy.deepcopy(model).train()
    size = min(recipe.batch_size, 16)
    images = torch.rand(size, 3, recipe.input_size, recipe.input_size)
    inputs = [images.contiguous(memory_format=torch.channels_last) if recipe.channels_last else images]
    if metadata_columns:
        inputs.append(torch.rand(size, metadata_columns))
    best: dict[Precision, float] = {"fp32": math.inf, "bf16": math.inf}
    for repeat in range(repeats + 1):
        for precision in best:
            try:
                seconds = _seconds_of_step(trial, inputs, precision)
            except RuntimeError:
                # An operator without a bf16 kernel rules the format out, nothing more.
                if precision == "fp32":
                    raise
                continue
            if repeat:  # the first turn warms up
                best[precision] = min(best[precision], seconds)
    return best


def _seconds_of_step(model: nn.Module, inputs: list[Tensor], precision: Precision) -> float:
    start = time.perf_counter()
    with autocast(precision, torch.device("cpu")):
        output: Tensor = model(*inputs)
    output.float().sum().backward()  # type: ignore[no-untyped-call]
    model.zero_grad(set_to_none=True)
    return time.perf_counter() - start


def write_once(path: Path, value: object) -> None:
    """Write JSON unless another process wrote it first: all folds of a model must read the same choice."""
    candidate = temporary_beside(path)
    write_json(candidate, value)
    try:
        os.link(candidate, path)
    except FileExistsError:
        pass
    except OSError:
        # A file system without hard links: the last writer wins.
        with atomic(path) as temporary:
            temporary.write_bytes(candidate.read_bytes())
    finally:
        candidate.unlink()


def processor() -> str:
    """Name of the CPU model."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
