"""One file over a connection that breaks: what has come stays, and the next try goes on behind it.

A file gets its name when it is whole and checked; until then it lies beside it under a hidden one, with a note of which
file of the server it is a piece of.
"""

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from data.download.http import (
    GIVES_RANGES,
    ChangedError,
    LostError,
    Patience,
    Stated,
    first_byte,
    given_up,
    network,
    request,
    stated,
    stated_in,
)
from data.errors import DataError
from data.files import read_object, sync_folder, write_json

CHUNK, HEADER_BYTES = 2**20, 2**16
Counted = Callable[[int], None]
"""Called with how many bytes of a file are here."""


@dataclass(frozen=True)
class Window:
    """A stretch of a file of the server, from the first byte to before the last."""

    url: str
    stated: Stated
    start: int
    stop: int

    @classmethod
    def whole(cls, url: str, said: Stated) -> "Window":
        """All of a file."""
        return cls(url, said, 0, said.size)

    @property
    def size(self) -> int:
        """Bytes in it."""
        return self.stop - self.start


def partial_path(path: Path) -> Path:
    """Where the bytes of an unfinished file lie."""
    return path.with_name(f".{path.name}.part")


def note_path(path: Path) -> Path:
    """Where it is noted what they are bytes of."""
    return path.with_name(f".{path.name}.part.json")


def bytes_here(path: Path, window: Window) -> int:
    """How much of a window an earlier call has fetched; bytes of something else are removed."""
    partial = partial_path(path)
    same = read_object(note_path(path)) == _note(window)
    if not partial.is_file():
        return 0
    if not same or partial.stat().st_size > window.size:
        partial.unlink()
        return 0
    return partial.stat().st_size


def fetch(url: str, path: Path, patience: Patience, counted: Counted) -> Stated:
    """Fetch a whole file to `path`, check it and give it its name; say what the server stated of it."""
    for _ in range(2):
        window = fetch_window(Window.whole(url, stated(url, patience)), path, patience, counted)
        problem = damage(partial_path(path), window.stated.tag)
        if problem is None:
            finish(path)
            return window.stated
        forget(path)
    raise DataError(
        f"{url} was fetched twice, and {problem}. The server or something on the way changes it: try again later, or "
        f"fetch it in another way and put it at {path}."
    )


def fetch_window(window: Window, path: Path, patience: Patience, counted: Counted) -> Window:
    """Fetch a stretch of a file to the partial file of `path`; a file that has changed meanwhile from the beginning."""
    failures, best = 0, bytes_here(path, window)
    write_json(note_path(path), _note(window))
    counted(best)
    while (have := bytes_here(path, window)) < window.size:
        try:
            _copy(window, partial_path(path), have, patience, counted)
            continue
        except ChangedError as error:
            reason: Exception = error
            window = _again(window, path, patience)
            best = 0
            failures += 1
        except LostError as error:
            reason = error
            have = bytes_here(path, window)
            failures = 1 if have > best else failures + 1
            best = max(best, have)
        if failures >= patience.tries:
            raise given_up(window.url, reason, failures)
        patience.wait(failures)
    if not partial_path(path).exists():
        partial_path(path).touch()  # an empty file
    return window


def _copy(window: Window, partial: Path, have: int, patience: Patience, counted: Counted) -> None:
    """Append what the server sends from the bytes on that are here; from the beginning where it gives no ranges."""
    stop = window.stop if window.size < window.stated.size else None
    with request(window.url, patience, start=window.start + have, stop=stop, tag=window.stated.tag) as response:
        if stated_in(response, window.url) != window.stated:
            raise ChangedError("it is another file than before")
        if stop is not None and response.status != GIVES_RANGES:
            raise DataError(f"{window.url}: the server gives whole files only. Leave --part out.")
        place = first_byte(response) - window.start
        if place not in (0, have):
            raise ChangedError(f"asked for byte {have + window.start:,} on, it sends byte {place + window.start:,} on")
        with partial.open("r+b" if partial.exists() else "wb") as handle:
            handle.truncate(place)
            handle.seek(place)
            while True:
                # What has come of a chunk when the connection breaks would be lost with the rest of it.
                with network(window.url):
                    chunk = response.read1(CHUNK)
                if not chunk:
                    break
                place += len(chunk)
                if place > window.size:
                    raise ChangedError(f"it sends more than the {window.size:,} bytes that it stated")
                handle.write(chunk)
                counted(place)
    if place < window.size:
        raise LostError(f"it broke off after {place:,} of {window.size:,} bytes")


def _again(window: Window, path: Path, patience: Patience) -> Window:
    """The same stretch of what the server has now; of a part of a file, which no longer exists, there is none."""
    forget(path)
    now = stated(window.url, patience)
    if window.size != window.stated.size and now != window.stated:
        raise DataError(f"{window.url} has been changed while a part of it was fetched. Start again.")
    fresh = Window.whole(window.url, now) if window.size == window.stated.size else window
    write_json(note_path(path), _note(fresh))
    return fresh


def damage(path: Path, tag: str) -> str | None:
    """What is wrong with a fetched file; None when nothing is."""
    agreed = agrees(path, tag)
    if agreed is False:
        return "its content does not have the checksum that the server states"
    if agreed is None and path.name.endswith(".csv.part"):
        with path.open("rb") as handle:
            # What a hotel says of its network comes under any name.
            return None if b"isic_id" in handle.readline(HEADER_BYTES) else "it is not a table with a column isic_id"
    # Each entry of an archive has a checksum of its own.
    if agreed is None and path.name.endswith((".zip", ".zip.part")):
        try:
            with zipfile.ZipFile(path) as archive:
                broken = archive.testzip()
        except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
            return f"it is not a whole zip archive ({error})"
        return None if broken is None else f"{broken} in it is damaged"
    return None


def finish(path: Path) -> None:
    """Give a whole file its name."""
    partial = partial_path(path)
    with partial.open("rb+") as handle:
        os.fsync(handle.fileno())
    partial.replace(path)
    sync_folder(path.parent)
    note_path(path).unlink(missing_ok=True)


def forget(path: Path) -> None:
    """Remove what has come of a file."""
    partial_path(path).unlink(missing_ok=True)
    note_path(path).unlink(missing_ok=True)


def _note(window: Window) -> dict[str, object]:
    """What a partial file is a piece of, as JSON has it."""
    note: dict[str, object] = json.loads(json.dumps(asdict(window)))
    return note


MIB = 2**20
PIECES_MIB = (5, 6, 7, 8, 10, 15, 16, 20, 25, 32, 50, 64, 100, 128, 256, 512, 1024)
"""Sizes of pieces that programs send."""


def agrees(path: Path, tag: str) -> bool | None:
    """Whether the content has the tag that the server states; None when the tag does not tell.

    Amazon's S3 tags a file with its MD5, or, when it was sent there in pieces, with the MD5 of the pieces' MD5s and
    their number. The size of the pieces is not stated, but programs use few sizes.
    """
    whole = re.fullmatch(r'"([0-9a-f]{32})"', tag)
    if whole is not None:
        return md5_of(path) == whole[1]
    pieces = re.fullmatch(r'"([0-9a-f]{32})-(\d+)"', tag)
    if pieces is None:
        return None
    size, count = path.stat().st_size, int(pieces[2])
    fitting = [mib * MIB for mib in PIECES_MIB if -(-size // (mib * MIB)) == count]
    return True if any(md5_of_pieces(path, piece) == pieces[1] for piece in fitting) else None


def md5_of(path: Path) -> str:
    """MD5 of a file: a checksum against accidents, not against forgery."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def md5_of_pieces(path: Path, piece: int) -> str:
    """MD5 of the MD5s of pieces of that size."""
    every = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as handle:
        while data := handle.read(piece):
            every.update(hashlib.md5(data, usedforsecurity=False).digest())
    return every.hexdigest()
