"""Tensors and JSON as one safetensors file, written whole or not at all, with a checksum of every byte of it.

The checksum stands in the file's own header, where 64 zeros stood while it was computed. A file therefore vouches for
itself: whoever goes on from one (`require_intact`) goes on from what was written, or not at all.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from data.files import atomic, hold_too, opened
from data.spelled import spelled

CHECKSUM = "checksum"
"""Key of the header that holds the checksum."""
NO_CHECKSUM = "0" * 64
"""Stands in its place while it is computed."""
WRITTEN = re.compile(rb'\\"checksum\\": \\"([0-9a-f]{64})\\"')
"""The checksum as it stands in the file: JSON in a string of the format's own JSON, its quotes escaped once."""
LENGTH_BYTES = 8
"""Of the number that a safetensors file begins with: how long the header behind it is."""
MOST_HEADER_BYTES = 100_000_000
"""More than this the format does not allow."""
CHUNK_BYTES = 2**20


def write_tensors(path: Path, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Write tensors and a JSON header."""
    # Copies: safetensors refuses tensors that share memory (tied weights) or are not contiguous (channels last).
    ready = {
        name: tensor.detach().to("cpu", copy=True).contiguous(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    text = json.dumps({**header, CHECKSUM: NO_CHECKSUM}, sort_keys=True)
    with atomic(path) as temporary:
        save_file(ready, temporary, metadata={"fusionnetx": text})
        with temporary.open("rb+") as file:
            hold_too(file)  # safetensors puts a file of its own there
            place, _ = _recorded(file)
            found = _sum_without(file, place)
            file.seek(place)
            file.write(found.encode())


def require_intact(path: Path) -> None:
    """ValueError or OSError unless every byte of a file is as `write_tensors` wrote it."""
    with opened(path) as (file, _):
        place, recorded = _recorded(file)
        if _sum_without(file, place) != recorded:
            raise ValueError("it is not as it was written: its checksum differs")


def read_header(path: Path) -> dict[str, Any]:
    """Header of a file written by `write_tensors`; empty for safetensors files from elsewhere, ValueError if odd."""
    with spelled(path) as name, safe_open(name, framework="pt") as file:
        text = (file.metadata() or {}).get("fusionnetx", "{}")
    try:
        header = json.loads(text)
    except RecursionError:
        raise ValueError("its header is nested too deep") from None
    if not isinstance(header, dict) or not all(isinstance(header.get(k, {}), dict) for k in ("key", "model")):
        raise ValueError("its header is not one of this project")
    header.pop(CHECKSUM, None)
    return header


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, on the CPU."""
    with spelled(path) as name, safe_open(name, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping


def _recorded(file: BinaryIO) -> tuple[int, str]:
    """Where in a file its checksum stands, and what it says."""
    file.seek(0)
    length = int.from_bytes(file.read(LENGTH_BYTES), "little")
    found = WRITTEN.search(file.read(min(length, MOST_HEADER_BYTES)))
    if found is None:
        raise ValueError("it carries no checksum: damaged, or of an earlier version")
    return LENGTH_BYTES + found.start(1), found[1].decode()


def _sum_without(file: BinaryIO, place: int) -> str:
    """Checksum of a file in which zeros stand where its own checksum has its place."""
    file.seek(0)
    digest = hashlib.sha256(file.read(place))
    digest.update(NO_CHECKSUM.encode())
    file.seek(place + len(NO_CHECKSUM))
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()
