"""The state of an unfinished fit as one file: tensors as safetensors, everything else as JSON in its header.

One file, replaced atomically, so that weights, optimiser and position can never belong to different steps.
"""

import json
import logging
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from data.files import atomic

LAYOUT = 1
"""Raised when older state files can no longer be read."""

log = logging.getLogger(__name__)


def write_tensors(path: Path, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Write tensors and a JSON header as one safetensors file, whole or not at all."""
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


def save_state(path: Path, key: dict[str, Any], tensors: dict[str, Tensor], position: dict[str, Any]) -> None:
    """Save a state; `key` says of which fit it is."""
    write_tensors(path, tensors, {"key": {**key, "layout": LAYOUT}, "position": position})


def load_state(path: Path, key: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """State saved by `save_state` if it is of this very fit; None if there is none, or one of another fit."""
    if not path.exists():
        return None
    try:
        header = read_header(path)
        if header.get("key") != {**key, "layout": LAYOUT}:
            log.info("%s is the state of another fit; starting anew", path)
            return None
        return read_tensors(path), header["position"]
    except (SafetensorError, ValueError) as error:
        log.warning("%s cannot be read (%s); starting anew", path, error)
        return None


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Name tensors `<prefix>/<name>`."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def taken_from(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors named `<prefix>/...`, without the prefix."""
    start = f"{prefix}/"
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
