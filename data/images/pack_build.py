"""Building image packs: whole under their name or not at all, in parts where the pixels are better not in one file.

Each part is a whole pack of its own, built, checked and kept by itself, so a build that was stopped goes on with the
next part, and a damaged part is the only one made again. What a pack holds does not depend on its parts, so neither
does its fingerprint.
"""

import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.files import is_held, no_room, sha256_of, sync_folder, temporary_beside, write_json
from data.held import held_folder
from data.images.joined import SeveralPictures
from data.images.pack import FORMAT, ImagePack, beside, joined, pack_fingerprint, usable_cores
from data.images.pack_pixels import decode_into, refuse_missing
from data.images.sources import ImageSource
from data.progress import Progress, silent

ABANDONED_SECONDS = 24 * 3600.0
"""A half-built pack that nobody has written to for this long belongs to a build that died."""


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

    More than `lesions_per_part` make a pack in parts. The pack appears under its name only when it is whole, in place
    of a damaged or another one. When another process finishes the same pack first, its pack is used. DataError when
    more than `max_missing_share` of the lesions have no image that decodes.
    """
    if len(ids) == 0:
        raise DataError(f"there are no lesions to decode images of ({source!r}).")
    wanted = _Wanted(source, ids, size, max_missing_share, workers or usable_cores(), progress)
    there = _finished(folder, wanted.fingerprint)
    if there is not None:
        wanted.refuse(there.missing)
        return there
    wanted.refuse(dict.fromkeys(ids[~np.isin(ids, source.ids)].tolist(), "no such image"))
    if isinstance(source, SeveralPictures):
        return _build_pictures(wanted, folder, source, lesions_per_part)
    if lesions_per_part is not None and len(ids) > lesions_per_part:
        return _build_parts(wanted, folder, lesions_per_part)
    return _build_one(wanted, folder)


@dataclass(frozen=True)
class _Wanted:
    """What is to be packed, and how."""

    source: ImageSource
    ids: npt.NDArray[np.str_]
    size: int
    max_missing_share: float
    workers: int
    progress: Progress

    @cached_property
    def fingerprint(self) -> str:
        """That of the pack."""
        return pack_fingerprint(self.source, self.ids, self.size)

    def refuse(self, missing: dict[str, str]) -> None:
        """DataError when these are too many."""
        refuse_missing(missing, len(self.ids), self.max_missing_share, self.source)

    def part(self, start: int, count: int) -> "_Wanted":
        """The lesions from `start` on; its missing images are not counted, its progress is that of the whole."""

        def progress(done: int, total: int, **figures: float) -> None:
            self.progress(start + done, len(self.ids), **figures)

        return replace(self, ids=self.ids[start : start + count], max_missing_share=1.0, progress=progress)

    def report(self, missing: dict[str, str]) -> dict[str, Any]:
        """What the report of every pack begins with."""
        return {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "lesions": len(self.ids),
            "image_size": self.size,
            "missing": missing,
            "source": repr(self.source),
        }


def _build_pictures(wanted: _Wanted, folder: Path, source: SeveralPictures, lesions_per_part: int | None) -> ImagePack:
    """Build a pack of each picture below the folder, and open them as one."""
    if (folder / "images.npy").exists():
        shutil.rmtree(folder)  # a damaged pack of one picture
    packs = [
        build_pack(
            one, wanted.ids, folder / name, size=wanted.size, lesions_per_part=lesions_per_part,
            max_missing_share=wanted.max_missing_share, workers=wanted.workers, progress=wanted.progress,
        )
        for name, one in source.pictures.items()
    ]  # fmt: skip
    missing = {name: why for pack in packs for name, why in pack.missing.items()}
    wanted.refuse(missing)
    report = {**wanted.report(missing), "pictures": {pack.folder.name: pack.fingerprint for pack in packs}}
    write_json(folder / "report.json", report)
    sync_folder(folder)
    return beside(folder, packs, report)


def _build_parts(wanted: _Wanted, folder: Path, lesions_per_part: int) -> ImagePack:
    """Build what is missing of a pack in parts and open it."""
    if (folder / "images.npy").exists():
        shutil.rmtree(folder)  # a damaged pack in one piece
    missing: dict[str, str] = {}
    parts: list[ImagePack] = []
    for start in range(0, len(wanted.ids), lesions_per_part):
        of_part, place = wanted.part(start, lesions_per_part), folder / f"part-{len(parts):05d}"
        part = _finished(place, of_part.fingerprint) or _build_one(of_part, place)
        parts.append(part)
        missing |= part.missing
        wanted.refuse(missing)
    named = {part.folder.name for part in parts}
    for other in folder.glob("part-*"):
        if other.name not in named:
            shutil.rmtree(other)  # of a build with smaller parts that was given up
    report = {**wanted.report(missing), "parts": {part.folder.name: part.fingerprint for part in parts}}
    write_json(folder / "report.json", report)
    sync_folder(folder)
    return joined(folder, parts, report)


def _build_one(wanted: _Wanted, folder: Path) -> ImagePack:
    """Build a pack in one piece."""
    with _working_folder(folder) as temporary:
        began = time.monotonic()
        decoded = decode_into(
            temporary / "images.npy",
            wanted.source,
            wanted.ids,
            size=wanted.size,
            max_missing_share=wanted.max_missing_share,
            workers=wanted.workers,
            progress=wanted.progress,
        )
        np.save(temporary / "ids.npy", wanted.ids, allow_pickle=False)
        np.save(temporary / "present.npy", decoded.present, allow_pickle=False)
        checksums: dict[str, Any] = {name: sha256_of(temporary / name) for name in ("ids.npy", "present.npy")}
        checksums["images.npy"] = {"lesions_per_chunk": decoded.lesions_per_chunk, "digests": decoded.digests}
        for name in checksums:
            with (temporary / name).open("rb+") as handle:
                os.fsync(handle.fileno())
        report = {
            **wanted.report(decoded.missing),
            "seconds": round(time.monotonic() - began, 3),
            "versions": {name: version(name) for name in ("numpy", "opencv-python-headless", "pillow", "simplejpeg")},
            "checksums": checksums,
        }
        write_json(temporary / "report.json", report)
        return _install(temporary, folder, wanted.fingerprint)


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
    for old in folder.parent.glob(f".{folder.name}.*.tmp"):
        if _abandoned(old):
            shutil.rmtree(old, ignore_errors=True)
    try:
        with held_folder(folder) as temporary:
            yield temporary
    except OSError as error:
        number = no_room(error)
        if number is None and Path(error.filename or "").parent != folder.parent:
            raise  # of the images, not of the cache
        why = error.strerror if number is None else os.strerror(number)
        raise DataError(
            f"{folder.parent} cannot take an image pack ({why}). Free some space, or name another (FUSIONNETX_CACHE)."
        ) from error


def _abandoned(working: Path) -> bool:
    """True when another machine's build without a lock has not written for a day; the others' death is seen at once."""
    if is_held(working) or f".{socket.gethostname()}." in working.name:
        return False
    try:
        newest = max(entry.stat().st_mtime for entry in (working, *working.iterdir()))
    except OSError:
        return False
    return time.time() - newest > ABANDONED_SECONDS
