"""A look at a whole data folder before any long work: what is there, what is wrong, what is unusual.

Writes nothing and goes on after the first problem, so that one look finds them all. Printing is left to the caller.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data.cohort import Cohort, DataFolder
from data.errors import DataError, examples
from data.ids import as_ids
from data.images.decode import pixels
from data.images.pack import usable_cores
from data.images.sources import ImageSource
from data.own.columns import ColumnLook, columns_of_cohort
from data.processes import in_order
from data.progress import Progress, silent
from data.readers.reading import FolderError, Readout

MAX_SHOWN = 3
AHEAD = 256
"""Images decoded between two words about the progress."""


@dataclass(frozen=True)
class TableCheck:
    """What one metadata table holds."""

    rows: int
    patients: int
    positives: int | None
    """Lesions of any class but the first, which is the negative one of two; None for a test table."""
    classes: dict[str, int]
    """Lesions of each class; empty for a test table."""
    words: dict[str, str]
    """What rows and groups are called, as `Task.words`."""
    missing: dict[str, float]
    """Share of missing values of every column that has any, largest first."""
    columns: tuple[ColumnLook, ...]
    """What every column is."""


@dataclass(frozen=True)
class ImagesCheck:
    """What one image source holds, against its table."""

    found: int
    """Images of lesions in the table (all images when there is no usable table)."""
    missing: tuple[str, ...]
    """Lesions of the table without an image."""
    extra: tuple[str, ...]
    """Images of lesions that are not in the table."""
    undecodable: dict[str, str]
    """The reason for every image found that does not decode; empty when decoding was not asked for."""
    sides_px: tuple[int, int, int] | None
    """Smallest, median and largest longer side of the images; None when decoding was not asked for."""


@dataclass(frozen=True)
class CheckReport:
    """Everything found in a data folder."""

    folder: Path
    train: TableCheck | None
    test: TableCheck | None
    train_images: ImagesCheck | None
    test_images: ImagesCheck | None
    errors: tuple[str, ...]
    """What stops a run."""
    warnings: tuple[str, ...]
    """What a run goes on with, but a person should know."""
    understood: tuple[str, ...] = ()
    """How tables of no fixed form were read."""
    data: DataFolder | None = field(default=None, repr=False)
    """What was read; None when any table of it cannot be used."""

    @property
    def ok(self) -> bool:
        """True when a run can start."""
        return not self.errors


def check(
    folder: Path,
    reader: Callable[[Path], DataFolder],
    *,
    decode_all: bool = True,
    max_missing_share: float = 0.01,
    progress: Progress = silent,
) -> CheckReport:
    """Read every table and every image of a data folder and report all that is wrong with them."""
    found, whole = _read(folder, reader)
    errors, warnings = list(found.errors), list(found.notes)
    images: dict[str, ImagesCheck | None] = {}
    for part, cohort, source in (
        ("train", found.train, found.train_images),
        ("test", found.test, found.test_images),
    ):
        try:
            images[part] = _check_images(cohort, source, decode_all, progress) if source is not None else None
        except DataError as error:
            images[part] = None
            errors.append(str(error))
        if (seen := images[part]) is not None:
            rows = cohort.table.height if cohort else seen.found
            unusable = len(seen.missing) + len(seen.undecodable)
            (errors if unusable > max_missing_share * rows else warnings).extend(_problems(part, seen))
            if seen.extra:
                some = examples(seen.extra, MAX_SHOWN)
                warnings.append(f"{part} images: {len(seen.extra):,} of lesions not in the table ({some})")
    return CheckReport(
        folder=folder,
        train=_check_table(found.train),
        test=_check_table(found.test),
        train_images=images["train"],
        test_images=images["test"],
        errors=tuple(errors),
        warnings=tuple(warnings),
        understood=tuple(found.understood),
        data=whole,
    )


def _read(folder: Path, reader: Callable[[Path], DataFolder]) -> tuple[Readout, DataFolder | None]:
    """As much of the folder as can be read, and all of it when all can."""
    try:
        whole = reader(folder)
    except FolderError as error:
        return error.readout, None
    except DataError as error:
        return Readout(errors=[str(error)]), None
    parts = (whole.train, whole.test, whole.train_images, whole.test_images)
    return Readout(*parts, notes=list(whole.notes), understood=list(whole.understood)), whole


def _check_table(cohort: Cohort | None) -> TableCheck | None:
    if cohort is None:
        return None
    table, task = cohort.table, cohort.task
    shares = {name: table[name].null_count() / table.height for name in table.columns}
    labelled = cohort.labelled and task.target in table.columns
    return TableCheck(
        rows=table.height,
        patients=table[task.group].n_unique(),
        positives=int((table[task.target] > 0).sum()) if labelled else None,
        classes={name: int((table[task.target] == i).sum()) for i, name in enumerate(task.classes)} if labelled else {},
        words=task.words,
        missing=dict(sorted(((name, share) for name, share in shares.items() if share), key=lambda item: -item[1])),
        columns=columns_of_cohort(cohort),
    )


def _check_images(cohort: Cohort | None, source: ImageSource, decode_all: bool, progress: Progress) -> ImagesCheck:
    wanted = (
        source.ids
        if cohort is None
        else as_ids(cohort.table[cohort.task.lesion].drop_nulls().to_list(), cohort.task.lesion)
    )
    there = wanted[np.isin(wanted, source.ids)].tolist()
    missing = tuple(wanted[~np.isin(wanted, source.ids)].tolist())
    extra = tuple(source.ids[~np.isin(source.ids, wanted)].tolist())
    if not decode_all:
        return ImagesCheck(len(there), missing, extra, {}, None)

    def side(lesion_id: str) -> int | str:
        """Longer side of an image in pixels, or the reason why it does not decode."""
        try:
            height, width, _ = pixels(source.read(lesion_id)).shape
            return max(int(height), int(width))
        except DataError as error:
            return str(error)

    undecodable: dict[str, str] = {}
    sides: list[int] = []
    began = time.monotonic()
    with ThreadPoolExecutor(usable_cores()) as pool:
        for done, (lesion_id, result) in enumerate(zip(there, in_order(pool, side, there, AHEAD), strict=True), 1):
            if isinstance(result, str):
                undecodable[lesion_id] = result
            else:
                sides.append(result)
            if done % AHEAD == 0 or done == len(there):
                progress(done, len(there), images_per_second=done / max(time.monotonic() - began, 1e-9))
    sizes = (min(sides), int(np.median(sides)), max(sides)) if sides else None
    return ImagesCheck(len(there), missing, extra, undecodable, sizes)


def _problems(part: str, images: ImagesCheck) -> list[str]:
    """Lesions without a usable image."""
    problems = []
    if images.missing:
        rows = images.found + len(images.missing)
        some = examples(images.missing, MAX_SHOWN)
        problems.append(f"{part} images: {len(images.missing):,} of {rows:,} lesions have none ({some})")
    if images.undecodable:
        shown = "; ".join(f"{name}: {reason}" for name, reason in list(images.undecodable.items())[:MAX_SHOWN])
        more = "; ..." if len(images.undecodable) > MAX_SHOWN else ""
        problems.append(f"{part} images: {len(images.undecodable):,} of {images.found:,} do not decode ({shown}{more})")
    return problems
