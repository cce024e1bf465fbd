"""A pack in parts, for cohorts whose pixels are better not in one file.

Each part is a whole pack of its own (`part-00000`, ...), built, checked and kept by itself, so a build that was stopped
goes on with the next part, and a damaged part is the only one made again. `report.json` beside them, written last,
names them. What a pack holds does not depend on its parts, so neither does its fingerprint.
"""

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from data.files import sync_folder, write_json
from data.images.pack import FORMAT, ImagePack, build_pack, pack_fingerprint
from data.images.pack_pixels import refuse_missing
from data.images.shards import Shards
from data.images.sources import ImageSource
from data.progress import Progress


def build_parts(
    source: ImageSource,
    ids: npt.NDArray[np.str_],
    folder: Path,
    *,
    size: int,
    lesions_per_part: int,
    max_missing_share: float,
    workers: int | None,
    progress: Progress,
) -> ImagePack:
    """Build what is missing of a pack in parts and open it."""
    if (folder / "images.npy").exists():
        shutil.rmtree(folder)  # a damaged pack in one piece
    missing: dict[str, str] = {}
    parts: list[ImagePack] = []
    for start in range(0, len(ids), lesions_per_part):
        part = build_pack(
            source,
            ids[start : start + lesions_per_part],
            folder / f"part-{len(parts):05d}",
            size=size,
            max_missing_share=1.0,
            workers=workers,
            progress=partial(_told, progress, start, len(ids)),
        )
        parts.append(part)
        missing |= part.missing
        refuse_missing(missing, len(ids), max_missing_share, source)
    named = {part.folder.name for part in parts}
    for other in folder.glob("part-*"):
        if other.name not in named:
            shutil.rmtree(other)  # of a build with smaller parts that was given up
    report = {
        "format": FORMAT,
        "fingerprint": pack_fingerprint(source, ids, size),
        "lesions": len(ids),
        "image_size": size,
        "missing": missing,
        "source": repr(source),
        "parts": {part.folder.name: part.fingerprint for part in parts},
    }
    write_json(folder / "report.json", report)
    sync_folder(folder)
    return joined(folder, parts, report)


def _told(progress: Progress, before: int, total: int, done: int, _: int, **figures: float) -> None:
    """A part's progress as that of the whole."""
    progress(before + done, total, **figures)


def open_parts(folder: Path, report: dict[str, Any], verify: bool | Literal["full"]) -> ImagePack:
    """Open every part that the report names; ValueError when one is not the one it names."""
    parts = [ImagePack.open(folder / str(name), verify=verify) for name in report["parts"]]
    for part, expected in zip(parts, report["parts"].values(), strict=True):
        if part.fingerprint != expected:
            raise ValueError(f"{part.folder.name} is a part of another pack")
    pack = joined(folder, parts, report)
    if pack.images.shape[:2] != (report["lesions"], report["image_size"]):
        raise ValueError(f"its parts hold {pack.images.shape}, not {report['lesions']} images")
    return pack


def joined(folder: Path, parts: Sequence[ImagePack], report: dict[str, Any]) -> ImagePack:
    """Several packs as one."""
    return ImagePack(
        folder,
        Shards(tuple(np.asarray(part.images) for part in parts)),
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.present for part in parts]),
        report,
    )
