"""Names that any library can take: paths may hold bytes that are no text; polars and safetensors take text alone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DESCRIPTORS = Path("/proc/self/fd")
"""Where Linux names what a process holds open. Other systems' file systems take no such names in the first place."""


@contextmanager
def spelled(path: Path) -> Iterator[Path]:
    """The path of a file or folder that is there; where it is no text, another name of the same for this process."""
    if is_text(path) or not DESCRIPTORS.is_dir():
        yield path
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield DESCRIPTORS / str(descriptor)
    finally:
        os.close(descriptor)


def is_text(path: Path) -> bool:
    """Whether a path can be written down."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def as_text(name: str) -> str:
    """A name with `?` for bytes that are none."""
    return name.encode("utf-8", "replace").decode()
