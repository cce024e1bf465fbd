"""The card, and whether the installed PyTorch has code for it."""

import os
import platform

import torch

from benchmarks.gpu_check.setting import Found, Line, Setting
from image_models.device import device_name
from image_models.gpu import runs_on
from image_models.precision import choose_precision


def measure(setting: Setting, _: dict[str, Found]) -> Found:
    """Names and versions; on a card its capability against PyTorch's kernels."""
    figures = {
        "device": device_name(setting.device),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "precision": choose_precision(setting.toy(), setting.device, torch.nn.Identity()),
    }
    lines = [Line("device", f"{figures['device']}, torch {figures['torch']}, CUDA {figures['cuda']}")]
    if setting.on_cuda:
        capability = torch.cuda.get_device_capability(setting.device)
        kernels = torch.cuda.get_arch_list()
        figures |= {"capability": list(capability), "kernels": kernels}
        figures["memory_gib"] = torch.cuda.get_device_properties(setting.device).total_memory / 2**30
        said = f"capability {capability[0]}.{capability[1]}, kernels for {', '.join(kernels)}"
        lines.append(Line("kernels for this card", said, "yes", not kernels or runs_on(capability, kernels)))
    return Found(figures, lines)
