"""A collection of the ISIC archive, through its public interface: pages of records, each with the address of its image.

An image that is here in the size that the archive states is not fetched again. The table is written last, so a folder
with a table is whole. Addresses of images hold for an hour or so: a page's images are fetched before the next page.
"""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.download.dataset import RECORD, alone, refuse_full_disk
from data.download.http import LostError, Patience, network, patiently, request
from data.errors import DataError
from data.files import atomic, write_json
from data.progress import Progress, silent

AT_ONCE = 8
"""Images fetched at a time: each is small, and most of its time is waiting."""
MOST_PAGE_BYTES, MOST_IMAGE_BYTES = 2**26, 2**27
PLAIN_ID = re.compile(r"ISIC_\d{1,12}")

Cells = dict[str, str]


@dataclass(frozen=True)
class Collection:
    """A collection, and how its records become the table that a reader knows."""

    title: str
    licence: str
    address: str
    """Of the interface."""
    number: int
    table: str
    """The file to write."""
    columns: tuple[str, ...]
    row_of: Callable[[Mapping[str, Any]], Cells | str]
    """The row of one record, or why the table has no place for it."""
    page: str
    folder: str
    images: str = "images"
    """Folder of the images, below that of the table."""

    @property
    def first_page(self) -> str:
        """Address of the first records."""
        return f"{self.address}/images/search/?collections={self.number}&limit=100"


@dataclass(frozen=True)
class CollectionFetching:
    """A collection on its way into a folder."""

    collection: Collection
    folder: Path
    patience: Patience = field(default_factory=Patience)

    def run(self, progress: Progress = silent) -> list[str]:
        """Fetch the images that are missing, then write the table; what was fetched, in words."""
        if (self.folder / self.collection.table).exists():
            if (self.folder / RECORD).is_file():
                return []
            raise DataError(
                f"{self.folder / self.collection.table} is there already and was not fetched by this command. If it is "
                "whole, the folder can be used as it is; else choose another folder with --out."
            )
        images = self.folder / self.collection.images
        images.mkdir(parents=True, exist_ok=True)
        with alone(self.folder):
            return self._fetch(images, progress)

    def _fetch(self, images: Path, progress: Progress) -> list[str]:
        rows: list[Cells] = []
        left_out: Counter[str] = Counter()
        fetched, seen = 0, 0
        with ThreadPoolExecutor(AT_ONCE) as threads:
            for total, records in self._pages():
                wanted = []
                for record in records:
                    seen += 1
                    row = self.collection.row_of(record)
                    if isinstance(row, str):
                        left_out[row] += 1
                        continue
                    rows.append(row)
                    full = record["files"]["full"]
                    wanted.append((images / f"{record['isic_id']}.jpg", full["url"], full["size"]))
                missing = [one for one in wanted if not one[0].is_file() or one[0].stat().st_size != one[2]]
                refuse_full_disk(
                    self.folder,
                    sum(size for *_, size in missing),
                    "the next images take {needed} MB and {free} MB are free. Make room or choose a folder on another "
                    "disk with --out; what is there is not fetched again.",
                )
                for done, _ in enumerate(threads.map(lambda one: self._image(*one), missing), 1):
                    progress(seen - len(missing) + done, max(total, seen))
                progress(seen, max(total, seen))
                fetched += len(missing)
        if not rows:
            raise DataError(f"{self.collection.first_page}: no record is one of {self.collection.title}.")
        self._write(rows, dict(left_out))
        words = [f"{fetched:,} images", self.collection.table]
        if left_out:
            named = ", ".join(f"{name} {count:,}" for name, count in left_out.most_common())
            words.append(f"left out {left_out.total():,} images ({named})")
        return words

    def _pages(self) -> Iterator[tuple[int, list[Any]]]:
        """How many records there are, and those of a page, page after page."""
        url, visited = self.collection.first_page, set()
        while url:
            if url in visited or not url.startswith(self.collection.address):
                raise DataError(f"{url}: the archive's list of images leads in a circle or elsewhere. Try again later.")
            visited.add(url)
            page = self._asked(url)
            try:
                records, total, following = page["results"], int(page.get("count") or 0), page.get("next") or ""
                for record in records:
                    require_usable(record)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise DataError(
                    f"{url}: the archive answers in another form than it used to ({error!r}). {self._otherwise()}"
                ) from error
            yield total, records
            url = following

    def _asked(self, url: str) -> Any:
        """The answer of the interface."""

        def ask() -> Any:
            with request(url, self.patience) as response, network(url):
                text = response.read(MOST_PAGE_BYTES + 1)
            try:
                return json.loads(text)
            except ValueError as error:
                raise LostError(f"its answer is cut off or no JSON ({error})") from error

        return patiently(url, self.patience, ask)

    def _image(self, path: Path, url: str, size: int) -> None:
        """Fetch one image; it gets its name when it is as long as the archive says."""

        def ask() -> bytes:
            with request(url, self.patience) as response, network(url):
                data = response.read(min(size, MOST_IMAGE_BYTES) + 1)
            if len(data) != size:
                raise LostError(f"it sent {len(data):,} bytes of an image of {size:,}")
            return data

        data = patiently(url.partition("?")[0], self.patience, ask)
        if not data.startswith(b"\xff\xd8"):
            raise DataError(f"{url.partition('?')[0]} is no JPEG image. {self._otherwise()}")
        with atomic(path) as temporary:
            temporary.write_bytes(data)

    def _write(self, rows: list[Cells], left_out: dict[str, int]) -> None:
        """The record of the download, then the table."""
        what = self.collection
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, what.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(rows, key=lambda row: row[what.columns[0]]))
        write_json(
            self.folder / RECORD,
            {"title": what.title, "licence": what.licence, "from": what.first_page, "images": len(rows),
             "left_out": left_out},
        )  # fmt: skip
        with atomic(self.folder / what.table) as temporary:
            temporary.write_text(text.getvalue(), encoding="utf-8")

    def _otherwise(self) -> str:
        return f"The files are also at {self.collection.page}."


def require_usable(record: Any) -> None:
    """ValueError, KeyError or TypeError for a record that names no plain file, address and size, or holds no data."""
    full = record["files"]["full"]
    if not PLAIN_ID.fullmatch(record["isic_id"]) or not isinstance(record["metadata"]["clinical"], dict):
        raise ValueError(f"a record is named {record['isic_id']!r}")
    if not str(full["url"]).startswith(("https://", "http://")) or not isinstance(full["size"], int):
        raise ValueError(f"the image of {record['isic_id']} has no address and size")
