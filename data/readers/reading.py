"""What a reader of a data set is, and what it could make of a data folder when not all of it is right.

A file of this package holds a `READER`: a name, what is known of the data set before a file is opened, and how to get
from the recipe to what reads. Reading gives a `DataFolder` or raises `FolderError`, which carries every problem found
and the parts that could be read, so that `data.check` can go on to look at the images.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort, DataFolder, Task
from data.errors import DataError, examples
from data.images.joined import JoinedImages
from data.images.sources import FolderImages, Hdf5Images, ImageSource
from data.images.tfrecords import SUFFIXES as TFRECORDS
from data.images.tfrecords import TFRecordImages
from data.images.zipped import ZippedImages
from data.progress import Progress
from data.synthetic.recipe import TwinRecipe
from data.tables.csv import MAX_SHOWN, TextTable, csv_parts, read_csv
from data.tables.near import with_files_beside
from data.tables.schema import Column, Validated, validate

Unlabelled = tuple[Cohort, ImageSource | None, tuple[str, ...]]
"""Lesions to predict, their images (None for a data set or a call without any), and notes."""


class BoundReader(Protocol):
    """How one data set is read, once all that a recipe says of it is known."""

    def read(self, folder: Path, /) -> DataFolder:
        """Read and validate a folder as published; `FolderError` lists every problem of every file."""

    def read_test(self, metadata_path: Path, images_path: Path | None, /) -> Unlabelled:
        """Read lesions to predict, from a table without the columns that only a diagnosis gives, and their images."""

    def write_twin(self, folder: Path, recipe: TwinRecipe, progress: Progress, /) -> None:
        """Write the synthetic twin, invented lesions in exactly these files, into `folder`, which is empty."""

    # A reader that has `in_parts: HowInParts` predicts tables of any length; the others' are read whole.


def no_twin(folder: Path, recipe: TwinRecipe, progress: Progress) -> None:
    """Refuse to write a twin, for a data set that has none."""
    raise DataError("this data set has no synthetic twin: give a data folder with --data (make: DATA=...)")


@dataclass(frozen=True)
class InParts:
    """How lesions to predict are read from a table larger than memory: each row by itself."""

    texts: Callable[[], Iterator[TextTable]]
    """The rows, part by part."""
    columns: Sequence[Column]
    cohort: Callable[[pl.DataFrame, str], Cohort]
    """Of typed columns, and the checksum of the file."""
    named: Callable[[ImageSource | None, Cohort], ImageSource | None] = lambda source, _: source
    """The images of some rows, where the table says how they are called."""


HowInParts = Callable[[Path], InParts]


def published_in_parts(columns: Sequence[Column], cohort: Callable[[pl.DataFrame, str], Cohort]) -> HowInParts:
    """For a data set of one table in its published form."""
    return lambda path: InParts(partial(csv_parts, path), columns, cohort)


@dataclass(frozen=True)
class Functions:
    """A bound reader made of functions, for a data set of which a recipe has nothing to say."""

    read: Callable[[Path], DataFolder]
    read_test: Callable[[Path, Path | None], Unlabelled]
    write_twin: Callable[[Path, TwinRecipe, Progress], None] = no_twin
    in_parts: HowInParts | None = None


@dataclass(frozen=True)
class ToldColumns:
    """Columns that a network may be told beside the image."""

    columns: tuple[str, ...] = ()
    """Known before the diagnosis."""
    site: str = ""
    """The place on the body."""
    after_diagnosis: tuple[str, ...] = ()
    """Known only with the diagnosis, and yet an input of a published system."""


@dataclass(frozen=True)
class Reader:
    """A data set by name, and what is known of it before a file is opened."""

    name: str
    """In recipes."""
    bind: Callable[[Any], BoundReader]
    """Makes what reads out of the recipe's table `table`, or out of None."""
    table: str | None = None
    """The table of [data] that says what the reader cannot know by itself; no other reader has use for it."""
    synthetic_table: str = "twin"
    """The table of [data] that describes the synthetic data made when no folder is given."""
    task: Task | None = None
    """What is to be predicted; None where the recipe decides."""
    has_images: bool = True
    """False for a data set of tables alone."""
    told_columns: ToldColumns = ToldColumns()
    pictures: tuple[str, ...] = ()
    """Names of a lesion's pictures, where it has several; networks see the first unless their recipe says which."""


@dataclass
class Readout:
    """The parts of a data folder, None where one is missing or unusable, with all problems and notes."""

    train: Cohort | None = None
    test: Cohort | None = None
    train_images: ImageSource | None = None
    test_images: ImageSource | None = None
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    understood: list[str] = field(default_factory=list)
    """How tables of no fixed form were read."""

    def text(self, path: Path, read: Callable[[Path], TextTable] = read_csv) -> TextTable | None:
        """The cells of one table; None when it cannot be read, the reason among the errors."""
        try:
            return read(path)
        except DataError as error:
            self.errors.append(str(error))
            return None

    def record(self, file: str, errors: Sequence[str], notes: Sequence[str]) -> None:
        """Add what was found in one file."""
        self.errors += [f"{file}: {error}" for error in errors]
        self.notes += [f"{file}: {note}" for note in notes]

    def refuse(self, values: pl.Series, what: str) -> None:
        """An error about lesions or values, with the first few; none when there are none."""
        if len(values):
            self.errors.append(f"{what}: {len(values):,} ({examples(values.drop_nulls(), MAX_SHOWN)})")

    def typed(self, text: TextTable, schema: Sequence[Column]) -> Validated:
        """One table with its declared columns; problems are recorded, answers that nobody publishes among them."""
        checked = validate(text, schema)
        strange = [problem for column in schema for problem in _strange_answers(checked.table, column)]
        found = Validated(checked.table, [*checked.errors, *strange], checked.notes)
        self.record(text.name, found.errors, found.notes)
        return found

    def folder(self, where: Path, submission_ids: npt.NDArray[np.str_] | None = None) -> DataFolder:
        """All parts together; `FolderError` when anything is wrong or there is no training table."""
        if self.errors or self.train is None:
            raise FolderError(where, self)
        return DataFolder(
            self.train,
            self.test,
            self.train_images,
            self.test_images,
            submission_ids,
            tuple(self.notes),
            understood=tuple(self.understood),
        )

    def unlabelled(self, where: Path) -> Unlabelled:
        """The test part alone; `FolderError` when anything is wrong with it."""
        if self.errors or self.test is None:
            raise FolderError(where, self)
        return self.test, self.test_images, tuple(self.notes)


class FolderError(DataError):
    """All that is wrong with a data folder, in one message."""

    def __init__(self, folder: Path, readout: Readout) -> None:
        count = len(readout.errors)
        lines = "".join(f"\n  - {error}" for error in readout.errors)
        super().__init__(f"{folder}: {count} problem{'s' * (count != 1)} to correct in the data{lines}")
        self.readout = readout


def _strange_answers(table: pl.DataFrame, column: Column) -> list[str]:
    """A problem when a column that gives the answer holds a value which is none."""
    if not (column.train_only and column.known and column.name in table.columns):
        return []
    strange = sorted(set(table[column.name].drop_nulls()) - set(column.known))
    return [f"column {column.name}: {', '.join(strange)}: not one of {', '.join(column.known)}"] if strange else []


def images_at(path: Path) -> ImageSource:
    """The image source a path stands for: a folder or zip archive of images, TFRecord files, or HDF5."""
    if path.suffix.lower() in TFRECORDS or (path.is_dir() and any(one.suffix in TFRECORDS for one in path.iterdir())):
        return TFRecordImages(path)
    if path.is_dir():
        return FolderImages(path)
    return ZippedImages(path) if path.suffix.lower() == ".zip" else Hdf5Images(path)


def images_below(folder: Path) -> ImageSource:
    """The images at any depth of a folder; where there are none, those in its zip archives, as they were published."""
    unpacked = FolderImages(folder)
    archives = sorted(path for path in folder.glob("*.zip") if path.is_file())
    if not archives or len(unpacked.ids):
        return unpacked
    return JoinedImages([ZippedImages(path) for path in archives])


def given_images(path: Path | None, found: Readout) -> ImageSource | None:
    """Images that a caller named: None when none were, and an error in `found` when they are not there."""
    if path is None:
        return None
    if not path.exists():
        found.errors.append(
            f"{path} does not exist (a folder, a zip archive or an HDF5 file of images){with_files_beside(path)}"
        )
        return None
    return images_at(path)
