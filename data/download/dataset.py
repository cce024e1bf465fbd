"""A whole data set in a folder: what is there already, what is missing, whether it fits on the disk.

`download.json` in the folder says what was fetched from where, with the checksum of every file: a later call compares
them and asks the server for nothing that is here.
"""

import csv
import fcntl
import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.download.addresses import Edition
from data.download.fetch import Counted, Window, bytes_here, fetch
from data.download.http import Patience, stated
from data.download.part import Part, Stretch, fetch_part, stretch_of
from data.errors import DataError
from data.files import atomic, read_object, sha256_of, write_json
from data.progress import Progress, silent

RECORD = "download.json"
MB = 10**6
SPARE = 50 * MB
"""Left on the disk for everything else."""
LEFT = (
    "{needed} MB are still to be fetched and {free} MB are free. Make room, choose a folder on another disk with "
    "--out, or fetch a part with --part 1/10."
)


@dataclass(frozen=True)
class Fetching:
    """A data set on its way into a folder."""

    edition: Edition
    folder: Path
    part: Part | None = None
    patience: Patience = field(default_factory=Patience)

    def run(self, progress: Progress = silent) -> list[str]:
        """Fetch what is missing; the names of the files that were."""
        self.refuse_other_data()
        missing = self.missing()
        if not missing:
            return []
        self.folder.mkdir(parents=True, exist_ok=True)
        with alone(self.folder), self._explained():
            if self.part is None:
                self._fetch_whole(missing, progress)
            else:
                self._fetch_part(self.part, missing, progress)
        return missing

    @property
    def record(self) -> dict[str, Any]:
        """What an earlier call fetched into the folder; empty when there was none, or not one that can be read."""
        found = read_object(self.folder / RECORD) or {}
        return found if isinstance(found.get("files"), dict) else {}

    def refuse_other_data(self) -> None:
        """DataError when the folder holds another edition or another part."""
        record = self.record
        wanted = (self.edition.title, None if self.part is None else str(self.part))
        found = (record.get("title"), record.get("part"))
        if record and found != wanted:
            what = f"{found[0]}, part {found[1]}" if found[1] else f"{found[0]}"
            raise DataError(f"{self.folder} holds {what}. Choose another folder with --out.")

    def missing(self) -> list[str]:
        """Files that are not here as they were fetched."""
        files = self.record.get("files", {})
        return [name for name in self.edition.files if not _is_whole(self.folder / name, files.get(name))]

    def _fetch_whole(self, names: list[str], progress: Progress) -> None:
        """The files as the server has them."""
        windows = {}
        for name in names:
            url = self.edition.url(name)
            windows[name] = Window.whole(url, stated(url, self.patience))
            self._refuse_stranger(name)
        left = sum(window.size - bytes_here(self.folder / name, window) for name, window in windows.items())
        refuse_full_disk(self.folder, left, LEFT)
        total, done = sum(window.size for window in windows.values()), 0
        for name, window in windows.items():
            said = fetch(window.url, self.folder / name, self.patience, _megabytes(progress, done, total))
            done += window.size
            self._note(name, said.tag)

    def _fetch_part(self, part: Part, names: list[str], progress: Progress) -> None:
        """The part's images, and of every table the rows of its lesions."""
        for name in names:
            self._refuse_stranger(name)
        url = self.edition.url(self.edition.archive)
        stretch = stretch_of(url, stated(url, self.patience), part, self.patience)
        with stretch.archive:
            tables = {}
            for name in names:
                if name == self.edition.archive:
                    continue
                address = self.edition.url(name)
                tables[name] = Window.whole(address, stated(address, self.patience))
            # The images are there twice while the smaller archive is written.
            size = sum(window.size for window in tables.values()) + stretch.window.size
            refuse_full_disk(self.folder, size + stretch.window.size, LEFT)
            done = 0
            for name, window in tables.items():
                whole = self.folder / f".whole-{name}"
                fetch(window.url, whole, self.patience, _megabytes(progress, done, size))
                done += window.size
                with atomic(self.folder / name) as temporary:
                    temporary.write_bytes(rows_of(whole.read_bytes(), stretch.ids))
                whole.unlink()
                self._note(name, window.stated.tag)
            if self.edition.archive in names:
                path = self.folder / self.edition.archive
                fetch_part(stretch, path, self.patience, _megabytes(progress, done, size), keep=_rows_in(stretch))
                self._note(self.edition.archive, stretch.window.stated.tag)

    def _refuse_stranger(self, name: str) -> None:
        """DataError for a file of that name that did not come from here: it is somebody's, and not overwritten."""
        if (self.folder / name).exists() and name not in self.record.get("files", {}):
            raise DataError(
                f"{self.folder / name} is there already and was not fetched by this command. If it is whole, the "
                "folder can be used as it is; else remove the file or choose another folder with --out."
            )

    def _note(self, name: str, tag: str) -> None:
        """Record a file that is whole."""
        path = self.folder / name
        entry = {"from": self.edition.url(name), "tag": tag, "bytes": path.stat().st_size, "sha256": sha256_of(path)}
        write_json(
            self.folder / RECORD,
            {
                "title": self.edition.title,
                "licence": self.edition.licence,
                "part": None if self.part is None else str(self.part),
                "files": {**self.record.get("files", {}), name: entry},
            },
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Add to a failure how to get the files otherwise."""
        try:
            yield
        except DataError as error:
            if self.edition.address not in str(error):
                raise
            raise DataError(
                f"{error} What has come so far stays in {self.folder}. The files are also at {self.edition.page}: put "
                f"{', '.join(self.edition.files)} into {self.folder}."
            ) from error


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder for this process, because two would write one file; freed by the system on any death."""
    with (folder / ".download.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataError(f"another process is fetching into {folder}; wait for it or stop it.") from error
        yield


def refuse_full_disk(folder: Path, needed: int, remark: str) -> None:
    """DataError when so many bytes do not fit, with a remark that has places for `needed` and `free` megabytes."""
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE:
        raise DataError(f"{folder}: {remark.format(needed=f'{needed / MB:,.0f}', free=f'{free / MB:,.0f}')}")


def rows_of(table: bytes, ids: frozenset[str]) -> bytes:
    """The rows of a CSV file that are about these lesions; a table without `isic_id` stays as it is."""
    reader = csv.reader(io.StringIO(table.decode("utf-8-sig"), newline=""))
    header = next(reader, [])
    if "isic_id" not in header:
        return table
    column = header.index("isic_id")
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(row for row in reader if len(row) > column and row[column] in ids)
    return text.getvalue().encode()


def _rows_in(stretch: Stretch) -> Callable[[str, bytes], bytes]:
    """What belongs to a part of the other files of an archive: rows of tables, and texts as they are."""
    ids = stretch.ids

    def keep(name: str, data: bytes) -> bytes:
        return rows_of(data, ids) if name.endswith(".csv") else data

    return keep


def _is_whole(path: Path, entry: Any) -> bool:
    """Whether a file is here as it was fetched, to the last byte."""
    if not isinstance(entry, dict) or not path.is_file() or path.stat().st_size != entry.get("bytes"):
        return False
    return sha256_of(path) == entry.get("sha256")


def _megabytes(progress: Progress, before: int, total: int) -> Counted:
    """Tell of bytes in megabytes, together with those of the files before."""

    def counted(done: int) -> None:
        progress((before + done) // MB, max(1, total // MB))

    return counted
