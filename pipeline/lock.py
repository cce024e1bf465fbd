"""Who is at work in a run folder: one process at a time, told by a lock that the system frees on any death.

Both the folder and a file in it are locked: the file says who holds it, and anyone can remove it; not so the folder.
"""

import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.errors import DataError
from data.files import remove_leftovers

FILE = ".lock"
MODE = 0o600


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold a run folder for this process; a second process is told who holds it. Freed by the system on any death.

    What a killed process left half-written in it is removed.
    """
    descriptors: list[int] = []
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Never through a link: whoever may write here could let us truncate another file.
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptors.append(os.open(folder / FILE, flags, MODE))
            descriptors.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        except OSError as error:
            raise DataError(
                f"run folder {folder} cannot be written: {error.strerror}; choose another with --run"
            ) from error
        own, directory = descriptors
        lock(own, folder, own)
        # Some network file systems lock no folders; the file alone must do there.
        lock(directory, folder, own, needed=False)
        remove_leftovers(folder, deep=True)
        os.ftruncate(own, 0)
        verb = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
        who = f"process {os.getpid()} on {socket.gethostname()}: {Path(sys.argv[0]).name} {verb}\n"
        os.pwrite(own, who.encode(errors="replace"), 0)
        yield
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def lock(descriptor: int, folder: Path, said_in: int, *, needed: bool = True) -> None:
    """Lock a file or a folder; DataError when somebody else holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(said_in, 300, 0).decode(errors="replace").strip() or "another process"
        raise DataError(
            f"run folder {folder} is in use by {holder}; wait for it, stop it, or choose another --run"
        ) from error
    except OSError as error:
        if needed:
            raise DataError(
                f"run folder {folder} is on a file system without locks ({error.strerror}), so two runs could spoil "
                "each other's files; choose a folder on another one with --run"
            ) from error
