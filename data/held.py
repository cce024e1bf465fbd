"""Temporary folders that belong to whoever holds their lock: the system frees it on any death, in any container."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.files import held_temporary, no_room, remove_leftovers
from data.spelled import spelled

SCRATCH = "fusionnetx"
"""Name of the folders for what is only needed while a command runs, in the system's temporary folder."""


@contextmanager
def held_folder(beside: Path) -> Iterator[Path]:
    """A new folder beside `beside` that goes when this is left, unless it was given another name; held meanwhile.

    What dead processes left of the same name goes first.
    """
    beside.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(beside.parent, of=beside.name)
    with spelled(beside.parent) as parent:
        folder, descriptor = locked_folder(parent / beside.name)
        try:
            yield folder
        except Exception as error:
            # Libraries seldom say which disk is full, and the folder is gone when anybody looks.
            number = no_room(error)
            if number is None or not of_folder(error, folder):
                raise
            raise OSError(number, os.strerror(number), str(beside.parent)) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(descriptor)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for this command alone; those of commands that were killed go first."""
    with held_folder(Path(tempfile.gettempdir()) / SCRATCH) as folder:
        yield folder


def of_folder(error: Exception, folder: Path) -> bool:
    """Whether an error is about a file below a folder, or does not say about which."""
    name = getattr(error, "filename", None)
    return name is None or Path(os.fsdecode(name)).is_relative_to(folder)


def locked_folder(beside: Path) -> tuple[Path, int]:
    """A new folder, and the descriptor that holds its lock."""
    mode = 0o700 if beside.name == SCRATCH else 0o777
    return held_temporary(beside, lambda folder: folder.mkdir(mode=mode))
