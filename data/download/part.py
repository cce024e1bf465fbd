"""A part of a zip archive on a server: its list is read, then one stretch of it, and a smaller archive is made of that.

The entries of an archive lie one behind the other, so the K-th of N parts of the images is one stretch of bytes. What
else is in the archive (tables, licences) goes into every part.
"""

import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from data.download.fetch import Counted, Window, fetch_window, forget, partial_path
from data.download.http import GIVES_RANGES, LostError, Patience, Stated, network, patiently, request, stated_in
from data.errors import DataError
from data.files import atomic
from data.images.zipped import is_image

READ_AHEAD = 2**22
"""Bytes asked of the server at a time: an archive is read in small steps, each of which would be a request."""


@dataclass(frozen=True)
class Part:
    """The K-th of N parts, from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """`3/10`."""
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise DataError(f"--part {text}: give the part and how many there are, such as 1/10 for the first of ten.")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def of(self, count: int) -> slice:
        """Which of so many things belong to it; parts differ by at most one."""
        return slice(count * (self.number - 1) // self.count, count * self.number // self.count)


class RemoteFile(io.RawIOBase):
    """A file of a server that reads like one of this machine; a stretch that is here already is not asked for."""

    def __init__(self, url: str, said: Stated, patience: Patience) -> None:
        super().__init__()
        self.url, self.said, self.patience = url, said, patience
        self.local: tuple[int, Path] | None = None
        """Where a stretch that is here begins, and the file that has it."""
        self._at = 0
        self._block = (0, b"")

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.said.size}[whence]
        return self._at

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer, which ends short only at the end of the file."""
        wanted = min(len(buffer), self.said.size - self._at)
        if wanted <= 0:
            return 0
        data = self._local(wanted) or self._remote(wanted)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _local(self, count: int) -> bytes:
        if self.local is None or self._at < self.local[0]:
            return b""
        with self.local[1].open("rb") as handle:
            handle.seek(self._at - self.local[0])
            found = handle.read(count)
        # Half from here and half from the server would be two files to the reader: all or nothing.
        return found if len(found) == count else b""

    def _remote(self, count: int) -> bytes:
        start, block = self._block
        if not start <= self._at <= self._at + count <= start + len(block):
            start, stop = self._at, min(self._at + max(count, READ_AHEAD), self.said.size)
            block = patiently(self.url, self.patience, lambda: self._get(start, stop))
            self._block = (start, block)
        return block[self._at - start : self._at - start + count]

    def _get(self, start: int, stop: int) -> bytes:
        with request(self.url, self.patience, start=start, stop=stop, tag=self.said.tag) as response:
            if stated_in(response, self.url) != self.said:
                raise DataError(f"{self.url} has been changed while it was read. Start again.")
            if response.status != GIVES_RANGES:
                raise DataError(f"{self.url}: the server gives whole files only. Leave --part out.")
            with network(self.url):
                data = response.read()
        if len(data) != stop - start:
            raise LostError(f"it sent {len(data):,} of {stop - start:,} bytes")
        return data


@dataclass(frozen=True)
class Stretch:
    """What a part of an archive is made of."""

    remote: RemoteFile
    archive: zipfile.ZipFile
    images: tuple[zipfile.ZipInfo, ...]
    others: tuple[zipfile.ZipInfo, ...]
    window: Window
    """The bytes in which the images lie."""

    @property
    def ids(self) -> frozenset[str]:
        """The lesions of the part."""
        return frozenset(Path(entry.filename).stem for entry in self.images)


def stretch_of(url: str, said: Stated, part: Part, patience: Patience) -> Stretch:
    """Read an archive's list and find the part's images in it."""
    remote = RemoteFile(url, said, patience)
    try:
        archive = zipfile.ZipFile(remote)
    except (ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        raise DataError(f"{url} is not a zip archive ({error}). Leave --part out, or try again later.") from error
    entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
    images = [entry for entry in entries if is_image(entry)]
    own = images[part.of(len(images))]
    if not own:
        raise DataError(f"--part {part}: {url} has {len(images):,} images, too few for so many parts.")
    behind = [entry.header_offset for entry in entries if entry.header_offset > own[-1].header_offset]
    stop = min(behind, default=archive.start_dir)
    others = tuple(entry for entry in entries if not is_image(entry) and not entry.is_dir())
    return Stretch(remote, archive, tuple(own), others, Window(url, said, own[0].header_offset, stop))


def fetch_part(
    stretch: Stretch, path: Path, patience: Patience, counted: Counted, *, keep: Callable[[str, bytes], bytes]
) -> None:
    """Fetch the part's bytes and write its archive; `keep` makes of another entry what belongs to the part.

    Every entry has a checksum, which is checked as it is copied.
    """
    fetch_window(stretch.window, path, patience, counted)
    stretch.remote.local = (stretch.window.start, partial_path(path))
    try:
        with atomic(path) as temporary, zipfile.ZipFile(temporary, "w") as smaller:
            for entry in stretch.images:
                smaller.writestr(_copied(entry), stretch.archive.read(entry))
            for entry in stretch.others:
                data = keep(entry.filename, stretch.archive.read(entry))
                smaller.writestr(_copied(entry, zipfile.ZIP_DEFLATED), data)
    except zipfile.BadZipFile as error:
        forget(path)
        raise DataError(f"{stretch.window.url}: what was fetched of it is damaged ({error}). Start again.") from error
    forget(path)


def _copied(entry: zipfile.ZipInfo, method: int = zipfile.ZIP_STORED) -> zipfile.ZipInfo:
    """An entry of the same name and date."""
    copy = zipfile.ZipInfo(entry.filename, entry.date_time)
    copy.compress_type = method
    return copy
