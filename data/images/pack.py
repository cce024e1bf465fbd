"""ImagePack: the images of a cohort, decoded once into one memory-mapped array that every run shares.

A pack is a folder: `images.npy` uint8 (lesions, size, size, 3), `ids.npy`, `present.npy` (False where there is no
image: the pixels are zero then and must not be shown to a network as if they were real), and `report.json`, written
last, with checksums and the reason for every missing image. Many lesions make several such folders in one, see
`data.pack_parts`. Opening needs numpy alone; building also needs what
`data.pack_pixels` imports.
"""

import hashlib
import os
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.files import fingerprint, read_json, remove_leftovers, sha256_of, sync_folder, temporary_beside, write_json
from data.images.shards import Pixels
from data.images.sources import ImageSource
from data.progress import Progress, silent

FORMAT = 2
BLOCK_BYTES = 4096
SAMPLED_BYTES = 2**28
"""Opening checks every byte of a pack up to 256 MiB, and an even sample of that much of a larger one."""
ABANDONED_SECONDS = 24 * 3600.0
"""A half-built pack that nobody has written to for this long belongs to a build that died."""


@dataclass(frozen=True, eq=False)
class ImagePack:
    """Decoded images of lesions, in the order of `ids`."""

    folder: Path
    images: Pixels
    """(lesions, size, size, 3) RGB, read-only memory maps."""
    ids: npt.NDArray[np.str_]
    present: npt.NDArray[np.bool_]
    """False where the image is missing or does not decode."""
    report: dict[str, Any] = field(repr=False)

    @property
    def size(self) -> int:
        """Side of the images in pixels."""
        return int(self.images.shape[1])

    @property
    def fingerprint(self) -> str:
        """What the pack was made from: images, ids and size."""
        return str(self.report["fingerprint"])

    @property
    def missing(self) -> dict[str, str]:
        """The reason for every lesion without an image."""
        return dict(self.report["missing"])

    @cached_property
    def _order(self) -> npt.NDArray[np.int64]:
        return np.argsort(self.ids, kind="stable").astype(np.int64)

    def rows_of(self, ids: npt.NDArray[np.str_] | Sequence[str]) -> npt.NDArray[np.int64]:
        """Row of each id in this pack, -1 where the pack does not know it."""
        wanted = np.asarray(ids, dtype=np.str_)
        place = np.searchsorted(self.ids, wanted, sorter=self._order)
        rows = self._order[np.minimum(place, len(self.ids) - 1)]
        return np.where(self.ids[rows] == wanted, rows, -1).astype(np.int64)

    @staticmethod
    def open(folder: Path, *, verify: bool | Literal["full"] = True) -> "ImagePack":
        """Open a finished pack; DataError when it is not one or is damaged.

        `verify=True` checks headers, ids, mask and pixels up to 256 MiB (an even sample of a larger pack), `"full"`
        every byte, False the headers alone.
        """
        if not (folder / "report.json").is_file():
            raise DataError(f"{folder} holds no finished image pack (report.json is missing). Build it again.")
        try:
            report = read_json(folder / "report.json")
            if report["format"] != FORMAT:
                raise ValueError(f"its format is {report['format']}, this version reads {FORMAT}")
            if "parts" in report:
                from data.images.pack_parts import open_parts

                return open_parts(folder, report, verify)
            pack = ImagePack(folder, *_load(folder, report), report)
            if verify:
                pack._check(every=verify == "full")
        # A damaged file raises as it likes: text that is no JSON, a header that is no header, an array of objects.
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, SyntaxError) as error:
            raise DataError(
                f"the image pack {folder} is damaged ({error}). Delete that folder; the next run builds it again."
            ) from error
        return pack

    def _check(self, every: bool) -> None:
        """Compare files with the checksums in the report; ValueError names the first that differs."""
        sums = self.report["checksums"]
        for name in ("ids.npy", "present.npy"):
            if sha256_of(self.folder / name) != sums[name]:
                raise ValueError(f"{name} does not match its checksum")
        per_chunk, expected = int(sums["images.npy"]["lesions_per_chunk"]), sums["images.npy"]["digests"]
        n = len(expected)
        if n != len(range(0, len(self.ids), per_chunk)):
            raise ValueError("report.json holds the checksums of another number of images")
        wanted = n if every else min(n, max(2, SAMPLED_BYTES // max(self.images[:per_chunk].nbytes, 1)))
        sample = sorted({i * (n - 1) // max(wanted - 1, 1) for i in range(wanted)})

        def differs(i: int) -> bool:
            return digest(self.images[i * per_chunk : (i + 1) * per_chunk]) != str(expected[i])

        with ThreadPoolExecutor(usable_cores()) as pool:
            for i, damaged in zip(sample, pool.map(differs, sample), strict=True):
                if damaged:
                    last = min((i + 1) * per_chunk, len(self.ids)) - 1
                    raise ValueError(f"rows {i * per_chunk} to {last} of images.npy do not match their checksum")


def digest(pixels: npt.NDArray[np.uint8]) -> str:
    """Checksum of pixels against damage: SHA-256 of the sums of their 4 KiB blocks.

    A lost, zeroed or changed page changes its sum (but for one chance in 2^64), a moved one changes the order. Hashing
    every byte would be a quarter of the work of building a pack.
    """
    raw = pixels.reshape(-1)
    even = len(raw) - len(raw) % BLOCK_BYTES
    sums = raw[:even].view(np.uint64).reshape(-1, BLOCK_BYTES // 8).sum(axis=1)
    return hashlib.sha256(sums.tobytes() + raw[even:].tobytes()).hexdigest()


def pack_fingerprint(source: ImageSource, ids: npt.NDArray[np.str_], size: int) -> str:
    """What a pack depends on: the images, which lesions in which order, and the size."""
    names = hashlib.sha256("\n".join(ids.tolist()).encode()).hexdigest()
    return fingerprint({"format": FORMAT, "source": source.fingerprint, "ids": names, "image_size": size})


def build_pack(
    source: ImageSource,
    ids: npt.NDArray[np.str_],
    folder: Path,
    *,
    size: int,
    lesions_per_part: int | None = None,
    max_missing_share: float = 0.01,
    workers: int | None = None,
    progress: Progress = silent,
) -> ImagePack:
    """Decode the images of `ids` into the pack `folder`, or open the pack that is already there.

    More than `lesions_per_part` make a pack in parts (`data.pack_parts`). The pack appears under its name only when it
    is whole, in place of a damaged or another one. When another process finishes the same pack first, its pack is used.
    DataError when more than `max_missing_share` of the lesions have no image that decodes.
    """
    from data.images.pack_pixels import decode_into, refuse_missing

    if len(ids) == 0:
        raise DataError(f"there are no lesions to decode images of ({source!r}).")
    wanted = pack_fingerprint(source, ids, size)
    there = _finished(folder, wanted)
    if there is not None:
        refuse_missing(there.missing, len(ids), max_missing_share, source)
        return there
    absent = ids[~np.isin(ids, source.ids)].tolist()
    refuse_missing(dict.fromkeys(absent, "no such image"), len(ids), max_missing_share, source)
    if lesions_per_part is not None and len(ids) > lesions_per_part:
        from data.images.pack_parts import build_parts

        return build_parts(
            source,
            ids,
            folder,
            size=size,
            lesions_per_part=lesions_per_part,
            max_missing_share=max_missing_share,
            workers=workers,
            progress=progress,
        )
    with _working_folder(folder) as temporary:
        began = time.monotonic()
        decoded = decode_into(
            temporary / "images.npy",
            source,
            ids,
            size=size,
            max_missing_share=max_missing_share,
            workers=workers or usable_cores(),
            progress=progress,
        )
        np.save(temporary / "ids.npy", ids, allow_pickle=False)
        np.save(temporary / "present.npy", decoded.present, allow_pickle=False)
        checksums: dict[str, Any] = {name: sha256_of(temporary / name) for name in ("ids.npy", "present.npy")}
        checksums["images.npy"] = {"lesions_per_chunk": decoded.lesions_per_chunk, "digests": decoded.digests}
        for name in checksums:
            with (temporary / name).open("rb+") as handle:
                os.fsync(handle.fileno())
        report = {
            "format": FORMAT,
            "fingerprint": wanted,
            "lesions": len(ids),
            "image_size": size,
            "missing": decoded.missing,
            "source": repr(source),
            "seconds": round(time.monotonic() - began, 3),
            "versions": {name: version(name) for name in ("numpy", "opencv-python-headless", "pillow", "simplejpeg")},
            "checksums": checksums,
        }
        write_json(temporary / "report.json", report)
        return _install(temporary, folder, wanted)


def usable_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _load(folder: Path, report: dict[str, Any]) -> tuple[Any, Any, Any]:
    """The three arrays, which must have the shapes that the report states."""
    n, size = int(report["lesions"]), int(report["image_size"])
    images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
    ids = np.load(folder / "ids.npy", allow_pickle=False)
    present = np.load(folder / "present.npy", allow_pickle=False)
    if images.dtype != np.uint8 or images.shape != (n, size, size, 3):
        raise ValueError(f"images.npy is {images.dtype} {images.shape}, expected uint8 {(n, size, size, 3)}")
    if ids.dtype.kind != "U" or ids.shape != (n,):
        raise ValueError(f"ids.npy is {ids.dtype} {ids.shape}, expected {n} texts")
    if present.dtype != np.bool_ or present.shape != (n,):
        raise ValueError(f"present.npy is {present.dtype} {present.shape}, expected {n} booleans")
    return images, ids, present


def _finished(folder: Path, wanted: str) -> ImagePack | None:
    """The pack in `folder` when it is whole and the one that is wanted."""
    try:
        pack = ImagePack.open(folder)
    except DataError:
        return None
    return pack if pack.fingerprint == wanted else None


def _install(temporary: Path, folder: Path, wanted: str) -> ImagePack:
    """Give a finished pack its name; another process may have been quicker."""
    try:
        temporary.rename(folder)
    except OSError:
        # A folder with something in it cannot be renamed over.
        winner = _finished(folder, wanted)
        if winner is not None:
            return winner
        damaged = temporary_beside(folder)
        folder.rename(damaged)
        temporary.rename(folder)
        shutil.rmtree(damaged, ignore_errors=True)
    sync_folder(folder.parent)
    return ImagePack.open(folder, verify=False)


@contextmanager
def _working_folder(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` that goes when this is left; those of dead builds go first."""
    remove_leftovers(folder.parent, of=folder.name)
    for old in folder.parent.glob(f".{folder.name}.*.tmp"):
        if _abandoned(old):
            shutil.rmtree(old, ignore_errors=True)
    temporary = temporary_beside(folder)
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise DataError(
            f"{folder.parent} cannot take an image pack ({error.strerror}). Choose another cache."
        ) from error
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _abandoned(working: Path) -> bool:
    """True when another machine's build has not written for a day; this machine's are told by their process alone."""
    if f".{socket.gethostname()}." in working.name:
        return False
    try:
        newest = max(entry.stat().st_mtime for entry in (working, *working.iterdir()))
    except OSError:
        return False
    return time.time() - newest > ABANDONED_SECONDS
