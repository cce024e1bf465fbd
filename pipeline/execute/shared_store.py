"""Files for workers without the driver's disk: put under their checksum at any fsspec URL, fetched and checked.

A file's name in the store is its SHA-256, so what is there already is never sent again, two writers cannot harm each
other, and a damaged file is noticed. Which files a job reads and writes is for the job to say.
"""

import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import fsspec

from data.errors import DataError
from data.files import atomic, sha256_of

Files = Mapping[str, str]
"""`run/oof/oof.parquet` -> checksum."""
SCRATCH = "FUSIONNETX_SCRATCH"
BLOCK_BYTES = 4 * 1024 * 1024


def scratch_dir() -> Path:
    """Where a worker keeps what it fetched and made; it stays, so that the next job finds it."""
    return Path(os.environ.get(SCRATCH) or Path(tempfile.gettempdir()) / f"fusionnetx-{os.getuid()}")


class SharedStore:
    """A folder at an fsspec URL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._there: set[str] = set()
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
            self._files.makedirs(self._root, exist_ok=True)
        except (ImportError, ValueError, OSError) as error:
            raise DataError(
                f"the store {url} cannot be opened: {error}; give an URL that fsspec knows (s3://bucket/folder, "
                "gs://bucket/folder, file:///folder), with its package installed and its credentials set"
            ) from error

    def put(self, roots: Mapping[str, Path], names: Sequence[str]) -> dict[str, str]:
        """Send files (of a folder: all in it) that the store lacks; their names and checksums."""
        sent = {}
        for name in names:
            for path in files_under(place(roots, name)):
                inside = path.relative_to(roots[name.partition("/")[0]])
                checksum = checksum_of(path)
                self._send(path, checksum)
                sent[f"{name.partition('/')[0]}/{inside.as_posix()}"] = checksum
        return sent

    def get(self, roots: Mapping[str, Path], files: Files, last: str = "report.json") -> None:
        """Fetch files that are not here as they should be; reports come last, because they are the mark of "done"."""
        for name, checksum in sorted(files.items(), key=lambda item: item[0].endswith(last)):
            path = place(roots, name)
            if not (path.is_file() and checksum_of(path) == checksum):
                self._fetch(checksum, path, name)

    def _address(self, checksum: str) -> str:
        return f"{self._root.rstrip('/')}/{checksum[:2]}/{checksum}"

    def _send(self, path: Path, checksum: str) -> None:
        if checksum in self._there:
            return
        address = self._address(checksum)
        if self._files.exists(address) and self._files.size(address) == path.stat().st_size:
            self._there.add(checksum)
            return
        # Object stores show a file once it is whole; a file system would show the half, so it gets its name last.
        unfinished = f"{address}.{os.uname().nodename}.{os.getpid()}.tmp"
        try:
            self._files.makedirs(address.rpartition("/")[0], exist_ok=True)
            self._files.put_file(str(path), unfinished)
            self._files.mv(unfinished, address)
            self._there.add(checksum)
        except OSError as error:
            raise DataError(f"the store {self.url} does not take {path.name}: {error}") from error

    def _fetch(self, checksum: str, path: Path, name: str) -> None:
        digest = hashlib.sha256()
        try:
            with atomic(path) as temporary:
                with self._files.open(self._address(checksum), "rb") as source, temporary.open("wb") as target:
                    while block := source.read(BLOCK_BYTES):
                        digest.update(block)
                        target.write(block)
                if digest.hexdigest() != checksum:
                    raise DataError(f"{name} is damaged in the store {self.url} (wrong checksum); delete it there")
        except FileNotFoundError as error:
            raise DataError(f"{name} is missing in the store {self.url}; run again to send it anew") from error


def place(roots: Mapping[str, Path], name: str) -> Path:
    """The local path of `run/...`, `cache/...`; never one outside its root."""
    root, _, inside = name.partition("/")
    path = roots[root] / inside
    if not path.resolve().is_relative_to(roots[root].resolve()):
        raise DataError(f"{name} leads out of its folder")
    return path


def files_under(path: Path) -> list[Path]:
    """The file, or all files of a folder but hidden ones (temporary names, locks); none where there is nothing."""
    if path.is_file():
        return [path]
    found = (inner for inner in path.rglob("*") if inner.is_file())
    return sorted(inner for inner in found if not any(p.startswith(".") for p in inner.relative_to(path).parts))


_known: dict[Path, tuple[int, int, int, str]] = {}
"""Checksums of files that have not changed since: a cohort of gigabytes is an input of every job."""


def checksum_of(path: Path) -> str:
    """SHA-256, remembered as long as inode, size and time of change stay."""
    facts = path.stat()
    now = facts.st_ino, facts.st_size, facts.st_mtime_ns
    known = _known.get(path)
    if known is None or known[:3] != now:
        _known[path] = known = (*now, sha256_of(path))
    return known[3]
