"""Lesions to predict, in parts that fit into memory: those of a large table are read, checked and kept in parts.

What a reader would say of the table read whole is said here: its problems, because the table is read whole as soon as a
part has one, and its notes, because their counts are added up.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from operator import add
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort
from data.files import read_whole, sha256_of
from data.held import scratch_folder
from data.images.cleaned import clean_source
from data.images.sources import ImageSource
from data.readers.reading import HowInParts, InParts, Readout, given_images
from data.recipe import DataRecipe, read_test, reader_of
from data.tables.csv import ReadWholeError
from data.tables.schema import Tally, validate

PART_ROWS = 2**15
"""Lesions of a part, a whole number of any usual batch of images, so that networks see the batches of the whole."""

WHOLE_BYTES = 2**24
"""A table of fewer bytes is read whole, which takes no longer and is no burden; of parquet, an eighth of them."""

Codes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class NewLesions:
    """The parts of a table in its order, read again each time they are gone through."""

    whole: Cohort
    """The table; without its rows where they are in `files`."""
    files: tuple[Path, ...]
    rows: int
    patients: Codes
    """A number for the patient of each row."""
    images: Callable[[Cohort], ImageSource | None]
    """Of a part."""
    notes: tuple[str, ...]

    def __iter__(self) -> Iterator[Cohort]:
        if self.files:
            yield from (self.part(pl.read_parquet(read_whole(file))) for file in self.files)
        else:
            yield from (self.part(self.whole.table[i : i + PART_ROWS]) for i in range(0, self.rows, PART_ROWS))

    def part(self, table: pl.DataFrame) -> Cohort:
        """Some rows of the table."""
        return replace(self.whole, table=table)


@contextmanager
def new_lesions(recipe: DataRecipe, metadata: Path, images: Path | None) -> Iterator[NewLesions]:
    """Read and check lesions to predict; what is kept of them is gone when this is left."""
    with scratch_folder() as folder:
        found = in_parts(recipe, metadata, images, folder)
        if found is None:
            found = at_hand(*read_test(recipe, metadata, images))
        yield found


def at_hand(cohort: Cohort, images: ImageSource | None, notes: tuple[str, ...] = ()) -> NewLesions:
    """Lesions that are in memory already."""
    return NewLesions(cohort, (), len(cohort.table), codes(cohort.table[cohort.task.group]), lambda _: images, notes)


def in_parts(recipe: DataRecipe, metadata: Path, images: Path | None, folder: Path) -> NewLesions | None:
    """The table in files of a folder; None where it has to be read whole."""
    bind: HowInParts | None = getattr(reader_of(recipe), "in_parts", None)
    few = WHOLE_BYTES // 8 if metadata.suffix.lower() == ".parquet" else WHOLE_BYTES
    if bind is None or not metadata.is_file() or metadata.stat().st_size < few:
        return None
    found = Readout()
    source = given_images(images, found)
    if found.errors:
        return None
    try:
        how = bind(metadata)
        return kept_parts(how, metadata, folder, lambda part: clean_source(how.named(source, part), recipe.clean))
    except ReadWholeError:
        return None


def kept_parts(how: InParts, path: Path, folder: Path, images: Callable[[Cohort], ImageSource | None]) -> NewLesions:
    """Check and keep part after part; `ReadWholeError` at the first that is not as it should be."""
    unique = [column.name for column in how.columns if column.unique]
    files: list[Path] = []
    patients: list[Codes] = []
    once: dict[str, list[Codes]] = {name: [] for name in unique}
    tallies: tuple[Tally, ...] = ()
    others: list[str] = []
    left, rows = pl.DataFrame(), 0

    def keep(table: pl.DataFrame) -> None:
        files.append(folder / f"{len(files):06d}.parquet")
        table.write_parquet(files[-1], compression="lz4")

    for text in how.texts():
        checked = validate(text, how.columns)
        if checked.errors:
            raise ReadWholeError(checked.errors[0])
        tallies = tuple(map(add, tallies, checked.tallies)) if tallies else checked.tallies
        others = checked.notes[: len(checked.notes) - sum(len(one.notes) for one in checked.tallies)]
        cohort = how.cohort(checked.table, "")
        table = cohort.table
        rows += len(table)
        patients.append(codes(table[cohort.task.group]))
        for name in unique:
            once[name].append(codes(table[name]))
        left = table if left.is_empty() else pl.concat([left, table])
        while len(left) >= PART_ROWS:
            keep(left[:PART_ROWS])
            left = left[PART_ROWS:]
    if len(left):
        keep(left)
    if any(len(np.unique(np.concatenate(parts))) < rows for parts in once.values()):
        raise ReadWholeError("not unique")
    notes = [f"{path.name}: {note}" for note in (*others, *(note for one in tallies for note in one.notes))]
    whole = how.cohort(left.clear(), sha256_of(path))
    return NewLesions(whole, tuple(files), rows, np.concatenate(patients), images, tuple(notes))


def codes(names: pl.Series) -> Codes:
    """A number for each name, the same for the same; for others another, but for a chance of 1 in 10^19 a pair."""
    return names.hash(seed=0).to_numpy()
