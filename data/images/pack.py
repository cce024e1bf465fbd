"""ImagePack: the images of a cohort, decoded once into one memory-mapped array that every run shares.

A pack is a folder: `images.npy` uint8 (lesions, size, size, 3), `ids.npy`, `present.npy` (False where there is no
image: the pixels are zero then and must not be shown to a network as if they were real), and `report.json`, written
last, with checksums and the reason for every missing image. Many lesions make several such packs (`part-00000`, ...) in
one folder, named by the `report.json` beside them. Opening needs numpy alone; building is left to `pack_build`.
"""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.files import fingerprint, read_json, sha256_of
from data.images.shards import Pictures, Shards
from data.images.sources import ImageSource

FORMAT = 2
BLOCK_BYTES = 4096
SAMPLED_BYTES = 2**28
"""Opening checks every byte of a pack up to 256 MiB, and an even sample of that much of a larger one."""


@dataclass(frozen=True, eq=False)
class ImagePack:
    """Decoded images of lesions, in the order of `ids`."""

    folder: Path
    images: Pictures
    """(lesions, size, size, 3) RGB, read-only memory maps; of several pictures of each lesion, the first."""
    ids: npt.NDArray[np.str_]
    present: npt.NDArray[np.bool_]
    """False where the image is missing or does not decode."""
    report: dict[str, Any] = field(repr=False)
    pictures: dict[str, Pictures] = field(default_factory=dict, repr=False)
    """By name, where lesions have several."""

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
                return _open_parts(folder, report, verify)
            if "pictures" in report:
                return beside(folder, _opened(folder, report["pictures"], verify), report)
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


def usable_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _load(folder: Path, report: dict[str, Any]) -> tuple[Any, Any, Any]:
    """The three arrays, which must have the shapes that the report states."""
    n, size = int(report["lesions"]), int(report["image_size"])
    images, ids, present = (_mapped(folder / f"{name}.npy") for name in ("images", "ids", "present"))
    if images.dtype != np.uint8 or images.shape != (n, size, size, 3):
        raise ValueError(f"images.npy is {images.dtype} {images.shape}, expected uint8 {(n, size, size, 3)}")
    if ids.dtype.kind != "U" or ids.shape != (n,):
        raise ValueError(f"ids.npy is {ids.dtype} {ids.shape}, expected {n} texts")
    if present.dtype != np.bool_ or present.shape != (n,):
        raise ValueError(f"present.npy is {present.dtype} {present.shape}, expected {n} booleans")
    return images, np.array(ids), np.array(present)


def _mapped(path: Path) -> npt.NDArray[Any]:
    """A .npy file without a byte of it read; ValueError where its header states what no file holds."""
    try:
        with np.errstate(over="ignore"):
            return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
    except (MemoryError, OverflowError) as error:  # of a header nested too deep, or beyond all numbers
        raise ValueError(f"{path.name} has a header that cannot be read") from error


def _open_parts(folder: Path, report: dict[str, Any], verify: bool | Literal["full"]) -> ImagePack:
    """Open every part that the report names."""
    pack = joined(folder, _opened(folder, report["parts"], verify), report)
    if pack.images.shape[:2] != (report["lesions"], report["image_size"]):
        raise ValueError(f"its parts hold {pack.images.shape}, not {report['lesions']} images")
    return pack


def _opened(folder: Path, named: dict[str, str], verify: bool | Literal["full"]) -> list[ImagePack]:
    """The packs of a folder by the names of theirs; ValueError when one is not the one that is named."""
    packs = [ImagePack.open(folder / str(name), verify=verify) for name in named]
    for pack, expected in zip(packs, named.values(), strict=True):
        if pack.fingerprint != expected:
            raise ValueError(f"{pack.folder.name} is a part of another pack")
    return packs


def beside(folder: Path, packs: Sequence[ImagePack], report: dict[str, Any]) -> ImagePack:
    """Packs of several pictures of the same lesions as one; a lesion is there when all of its pictures are."""
    pictures = {pack.folder.name: pack.images for pack in packs}
    present = np.all([pack.present for pack in packs], axis=0)
    return ImagePack(folder, packs[0].images, packs[0].ids, present, report, pictures)


def joined(folder: Path, parts: Sequence[ImagePack], report: dict[str, Any]) -> ImagePack:
    """Several packs as one."""
    return ImagePack(
        folder,
        Shards(tuple(np.asarray(part.images) for part in parts)),
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.present for part in parts]),
        report,
    )
