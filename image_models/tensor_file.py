"""Tensors and JSON as one safetensors file, written whole or not at all."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from data.files import atomic


def write_tensors(path: Path, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Write tensors and a JSON header."""
    # Copies: safetensors refuses tensors that share memory (tied weights) or are not contiguous (channels last).
    ready = {
        name: tensor.detach().to("cpu", copy=True).contiguous(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    with atomic(path) as temporary:
        save_file(ready, temporary, metadata={"fusionnetx": json.dumps(header, sort_keys=True)})


def read_header(path: Path) -> dict[str, Any]:
    """Header of a file written by `write_tensors`; empty for safetensors files from elsewhere, ValueError if odd."""
    with safe_open(path, framework="pt") as file:
        text = (file.metadata() or {}).get("fusionnetx", "{}")
    try:
        header = json.loads(text)
    except RecursionError:
        raise ValueError("its header is nested too deep") from None
    if not isinstance(header, dict) or not all(isinstance(header.get(k, {}), dict) for k in ("key", "model")):
        raise ValueError("its header is not one of this project")
    return header


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, on the CPU."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
