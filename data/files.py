"""Files that are either whole or absent: written under a temporary name, synced, then renamed.

Who writes a temporary file holds its lock, so that what a killed process left behind can be told from what another one
is writing, and removed; its name tells machine and process too, for file systems without locks. Standard library only,
because every layer writes files.
"""

import errno
import fcntl
import glob
import hashlib
import itertools
import json
import math
import os
import re
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

from data.errors import DataError
from data.spelled import as_text, spelled

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A full disk, a used-up quota, a limit on the size of a file."""

NUMPY_FELL_SHORT = re.compile(r"[0-9]+ requested and [0-9]+ written")
"""All that numpy says of a disk that took no more."""

MOST_JSON_BYTES = 256 * 2**20
"""The metrics of a large run, its report included, have a fiftieth of it."""

MOST_TABLE_BYTES = 32 * 2**30
"""Fifty times the lesions of ISIC 2024 take half of it."""

HOLES_FROM_BYTES = 2**28
"""A file this large that takes a hundredth of its size on the disk holds nothing: no compression gets that far."""

HELD = ".held"
"""Marks temporary names whose maker holds a lock as long as it lives: host name and process number do not tell, since
two containers on one disk may have both alike."""

_number = itertools.count()
_this_life = os.urandom(4).hex()
"""Tells this process from an earlier one with the same number, as containers have them again and again."""


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success sync it and rename it to `path`, on failure remove it.

    Writers in C and Rust report a full disk as errors of their own; from here they all come as an OSError that names
    `path`.
    """
    refuse_to_replace(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with spelled(path.parent) as folder:
        temporary, descriptor = held_temporary(folder / path.name, lambda new: new.touch(exist_ok=False))
        try:
            yield temporary
            with temporary.open("rb+") as handle:
                hold_too(handle)
                os.fsync(handle.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
        except Exception as error:
            number = no_room(error)
            if number is None:
                raise
            raise OSError(number, os.strerror(number), str(path)) from error
        finally:
            temporary.unlink(missing_ok=True)
            os.close(descriptor)


def held_temporary(path: Path, make: Callable[[Path], object]) -> tuple[Path, int]:
    """A new file or folder beside `path`, as `make` makes it, and the descriptor that holds its lock."""
    while True:
        temporary = temporary_beside(path, HELD)
        make(temporary)
        try:
            descriptor = open_to_lock(temporary)
        except FileNotFoundError:
            continue  # Another process took it for a leftover, for it was not locked yet.
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            return temporary, descriptor  # a file system without locks: the process number must do
        # The same may have happened while the lock was waited for.
        with suppress(FileNotFoundError):
            if os.path.samestat(temporary.stat(), os.fstat(descriptor)):
                return temporary, descriptor
        os.close(descriptor)


def hold_too(handle: IO[bytes]) -> None:
    """Hold the file that a library put in place of the one it was to write."""
    with suppress(OSError):  # it is the one that is held, or cannot be
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def open_to_lock(path: Path) -> int:
    """A descriptor of a file or folder, never through a link and never waiting for a pipe."""
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)


def refuse_to_replace(path: Path) -> None:
    """DataError for a path that a rename would do harm at: a device, a pipe, a folder."""
    if path.name in ("", "..") or (path.exists() and not path.is_file()):
        what = "a folder" if path.is_dir() else "no regular file"
        raise DataError(f"{path} is {what}: nothing is written there; name a file")


def no_room(error: BaseException) -> int | None:
    """The system's error number when an error says that the disk takes no more, whatever its type; else None."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno if error.errno in NO_ROOM else None
    text = str(error)
    if NUMPY_FELL_SHORT.search(text):
        return errno.ENOSPC
    return next((number for number in NO_ROOM if os.strerror(number) in text), None)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def temporary_beside(path: Path, mark: str = "") -> Path:
    """A hidden name in the folder of `path` that no other process and no other call uses; always text."""
    return path.with_name(
        f".{as_text(path.name)}.{_this_life}-{next(_number)}.{socket.gethostname()}.{os.getpid()}{mark}.tmp"
    )


def remove_leftovers(folder: Path, of: str = "", *, deep: bool = False) -> list[Path]:
    """Remove what processes of this machine that are gone left unfinished in `folder` (`deep`: and below it).

    `of` takes the leftovers of one name alone. Other machines' are left alone: whether their process lives cannot be
    told from here.
    """
    pattern = f".{glob.escape(as_text(of))}.*.tmp" if of else ".*.tmp"
    found = [path for path in (folder.rglob(pattern) if deep else folder.glob(pattern)) if is_leftover(path)]
    for path in found:
        remove_unheld(path)
    return found


def remove_unheld(path: Path) -> None:
    """Remove a file or folder under its lock, so that a maker who waits for it sees it gone; not what is held."""
    try:
        descriptor = open_to_lock(path)
    except OSError:  # a link or a socket, which nobody holds
        path.unlink(missing_ok=True)
        return
    try:
        with suppress(OSError):  # a file system without locks: the process number told
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def is_leftover(path: Path) -> bool:
    """True for what nobody holds any more: told by its lock where it was made with one, else by its process.

    Of names without a lock, only those of this machine can be told.
    """
    held = is_held(path)
    if held or (held is False and path.name.endswith(f"{HELD}.tmp")):
        return not held
    stem, _, owner = path.name.removesuffix(".tmp").removesuffix(HELD).rpartition(".")
    name, host, rest = stem.rpartition(f".{socket.gethostname()}")
    if not path.name.endswith(".tmp") or not host or rest or not owner.isdecimal():
        return False
    if int(owner) == os.getpid():
        return f".{_this_life}-" not in name
    try:
        os.kill(int(owner), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def is_held(path: Path) -> bool | None:
    """Whether a process holds the lock of a file or folder of ours; None where that cannot be known."""
    try:
        descriptor = open_to_lock(path)
    except OSError:
        return None
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            return None
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically; DataError for text with bytes of a path that are none."""
    try:
        content = text.encode()
    except UnicodeEncodeError as error:
        bad = ascii(text[max(0, error.start - 40) : error.end])
        raise DataError(f"{path} cannot hold {bad}: bytes that are no text; rename the folder or file") from error
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, keys in the order given; NaN is refused because other readers refuse it."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path, most_bytes: int = MOST_JSON_BYTES) -> Any:
    """Read a JSON file; ValueError for one too large or too deep to be ours, OSError for a pipe or a device."""
    with opened(path) as (handle, size):
        if size > most_bytes:
            raise ValueError(f"it has {size:,} bytes, more than any file of its kind")
        content = handle.read(most_bytes + 1)
    try:
        return json.loads(content.decode("utf-8"), parse_constant=finite, parse_float=finite)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def read_object(path: Path) -> dict[str, Any] | None:
    """The JSON object that a file holds; None where there is none that can be read."""
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def finite(value: str | float) -> float:
    """A number that JSON spells; ValueError for NaN, infinity and what is larger than any: we never write them."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"it holds {str(value)[:20]}, which is no number")
    return number


def read_whole(path: Path, most_bytes: int = MOST_TABLE_BYTES) -> bytes:
    """A regular file's bytes; OSError for a pipe, a device, what is larger than any table, or mostly holes."""
    with opened(path) as (handle, size):
        if size > most_bytes:
            raise OSError(errno.EFBIG, f"it has {size:,} bytes, more than any table", str(path))
        return handle.read()


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """A regular file to read, and its bytes; OSError for a pipe, a device, and what is mostly holes."""
    # Without waiting: to open a pipe that nobody writes to would take for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as handle:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        if facts.st_size > HOLES_FROM_BYTES and facts.st_blocks * 512 < facts.st_size // 100:
            raise OSError(errno.EINVAL, f"of its {facts.st_size:,} bytes nearly all are holes", str(path))
        yield handle, facts.st_size


def sha256_of(path: Path) -> str:
    """Checksum of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    """Checksum of a JSON-like value, independent of key order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
