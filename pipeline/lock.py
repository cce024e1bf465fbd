"""Who is at work in a run folder: one process at a time, told by a lock that the system frees on any death."""

import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.errors import DataError
from data.files import remove_leftovers


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold a run folder for this process; a second process is told who holds it. Freed by the system on any death.

    What a killed process left half-written in it is removed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / ".lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"run folder {folder} cannot be written: {error.strerror}; choose another with --run"
        ) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            handle.seek(0)
            holder = handle.read().strip() or "another process"
            raise DataError(
                f"run folder {folder} is in use by {holder}; wait for it, stop it, or choose another --run"
            ) from error
        except OSError as error:
            raise DataError(
                f"run folder {folder} is on a file system without locks ({error.strerror}), so two runs could spoil "
                "each other's files; choose a folder on another one with --run"
            ) from error
        remove_leftovers(folder, deep=True)
        handle.truncate(0)
        handle.write(f"process {os.getpid()} on {socket.gethostname()}: {' '.join(sys.argv[:3])}\n")
        handle.flush()
        yield
