"""Temporary folders that belong to whoever holds their lock: the system frees it on any death, in any container.

Host name and process number do not tell: two containers on one disk may have both alike.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.files import HELD, remove_leftovers, temporary_beside

SCRATCH = "fusionnetx"
"""Name of the folders for what is only needed while a command runs, in the system's temporary folder."""


@contextmanager
def held_folder(beside: Path) -> Iterator[Path]:
    """A new folder beside `beside` that goes when this is left, unless it was given another name; held meanwhile.

    What dead processes left of the same name goes first.
    """
    remove_leftovers(beside.parent, of=beside.name)
    folder, descriptor = locked_folder(beside)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for this command alone; those of commands that were killed go first."""
    with held_folder(Path(tempfile.gettempdir()) / SCRATCH) as folder:
        yield folder


def locked_folder(beside: Path) -> tuple[Path, int]:
    """A new folder, and the descriptor that holds its lock."""
    while True:
        folder = temporary_beside(beside, HELD)
        folder.mkdir(parents=True, mode=0o700 if beside.name == SCRATCH else 0o777)
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # Another process took it for a leftover, for it was not locked yet.
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            return folder, descriptor  # a file system without locks: the process number must do
        # The same may have happened while the lock was waited for.
        if folder.is_dir() and os.path.samestat(folder.stat(), os.fstat(descriptor)):
            return folder, descriptor
        os.close(descriptor)
