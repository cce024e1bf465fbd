"""The state of an unfinished fit as one file: tensors as safetensors, everything else as JSON in its header.

One file, replaced atomically, so that weights, optimiser and position can never belong to different steps. Its checksum
is looked at before anything in it is believed: a fit goes on from the state that was saved, or begins anew.
"""

import logging
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor

from image_models.tensor_file import read_header, read_tensors, require_intact, write_tensors

LAYOUT = 1
"""Raised when older state files can no longer be read."""

log = logging.getLogger(__name__)


def save_state(path: Path, key: dict[str, Any], tensors: dict[str, Tensor], position: dict[str, Any]) -> None:
    """Save a state; `key` says of which fit it is."""
    write_tensors(path, tensors, {"key": {**key, "layout": LAYOUT}, "position": position})


def load_state(path: Path, key: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """State saved by `save_state` if it is of this very fit; None if there is none, or one of another fit."""
    if not path.exists():
        return None
    try:
        require_intact(path)
        header = read_header(path)
        if header.get("key") != {**key, "layout": LAYOUT}:
            log.info("%s is the state of another fit; starting anew", path)
            return None
        position = header.get("position")
        if not isinstance(position, dict):
            raise ValueError("it says of no fit how far it came")
        return read_tensors(path), position
    except (SafetensorError, ValueError, OSError) as error:
        log.warning("%s cannot be read (%s); starting anew", path, error)
        return None


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Name tensors `<prefix>/<name>`."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def taken_from(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors named `<prefix>/...`, without the prefix."""
    start = f"{prefix}/"
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
