"""PH2, read from its table and its folders of bitmaps as published: melanoma or not, or its three classes.

`PH2_dataset.txt` or `PH2_dataset.xlsx` beside `PH2 Dataset images/IMD003/IMD003_Dermoscopic_Image/IMD003.bmp`. The data
set does not name patients, so every image is a group of its own. The dermoscopic criteria were scored on the picture
and may be features; the diagnoses may not. Outlines of the lesions are `masks`, for whoever asks.
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data.cohort import Cohort, DataFolder, Task
from data.errors import DataError
from data.images.named import NamedImages
from data.images.sources import FolderImages, ImageSource
from data.readers.ph2_table import COLOURS, DIAGNOSES, read_table
from data.readers.reading import FolderError, Readout, Unlabelled, cohort_of, given_images
from data.tables.schema import Column, validate

TABLES = ("PH2_dataset.txt", "PH2_dataset.xlsx")
IMAGES = "PH2 Dataset images"

SCHEMA = (
    Column("image_id", "text", nullable=False, unique=True),
    Column("clinical_diagnosis", "integer", "", 0, 2, nullable=False, train_only=True),
    Column("histological_diagnosis", "text", train_only=True),
    Column("asymmetry", "integer", "axes", 0, 2),
    Column("pigment_network", "category", known=("T", "AT")),
    Column("dots_globules", "category", known=("A", "T", "AT")),
    Column("streaks", "category", known=("A", "P")),
    Column("regression_areas", "category", known=("A", "P")),
    Column("blue_whitish_veil", "category", known=("A", "P")),
    *(Column(name, "integer", "", 0, 1) for name in COLOURS),
)

NEEDED = frozenset({"image_id", "clinical_diagnosis"})
"""Criteria that a table leaves out are no features; these it must have."""

FORBIDDEN = frozenset({"target", *(column.name for column in SCHEMA if column.train_only)})

BINARY = Task("image_id", "image_id", "target", classes=("other", "melanoma"), score="auc")
THREE_CLASSES = Task("image_id", "image_id", "target", classes=DIAGNOSES, score="auc")


@dataclass(frozen=True)
class Ph2:
    """The reader of PH2 for one of its two tasks."""

    task: Task

    def read(self, folder: Path, /) -> DataFolder:
        """Read and validate the folder; `FolderError` lists every problem."""
        path = next((folder / name for name in TABLES if (folder / name).is_file()), None)
        if path is None:
            raise DataError(f"{folder} has neither {TABLES[0]} nor {TABLES[1]}; give the folder PH2Dataset as unpacked")
        found = Readout()
        found.train = _cohort(path, self.task, True, found)
        if found.train is not None:
            found.train_images = _pictures(folder, found.train)
        return DataFolder(cohort_of(found, folder), None, found.train_images, None, notes=tuple(found.notes))

    def read_test(self, metadata_path: Path, images_path: Path | None, /) -> Unlabelled:
        """Read images to predict: a table in any of the forms, without diagnoses, and their images in any folder."""
        found = Readout()
        cohort = _cohort(metadata_path, self.task, False, found)
        images = given_images(images_path, found)
        if found.errors or cohort is None:
            raise FolderError(metadata_path.parent, found)
        # Picked by name: a folder in the published layout holds masks too.
        return cohort, _of_lesions(images, cohort) if images is not None else None, tuple(found.notes)


def masks(folder: Path, cohort: Cohort) -> ImageSource:
    """The published outlines: black and white bitmaps, white inside the lesion, by image id."""
    return NamedImages(FolderImages(folder / IMAGES), {name: f"{name}_lesion" for name in cohort.ids.tolist()})


def _pictures(folder: Path, cohort: Cohort) -> ImageSource:
    return _of_lesions(FolderImages(folder / IMAGES), cohort)


def _of_lesions(source: ImageSource, cohort: Cohort) -> ImageSource:
    return NamedImages(source, {name: name for name in cohort.ids.tolist()})


def _cohort(path: Path, task: Task, labelled: bool, found: Readout) -> Cohort | None:
    """One table as a cohort; None when unusable, the reasons in `found`."""
    try:
        text = read_table(path)
    except DataError as error:
        found.errors.append(str(error))
        return None
    schema = [
        column
        for column in SCHEMA
        if (labelled or not column.train_only) and (column.name in NEEDED or column.name in text.columns)
    ]
    checked = validate(text, schema)
    found.errors += [f"{path.name}: {error}" for error in checked.errors]
    found.notes += [f"{path.name}: {note}" for note in checked.notes]
    if found.errors:
        return None
    table = checked.table
    if labelled:
        code = pl.col("clinical_diagnosis")
        target = code if len(task.classes) > 2 else (code == DIAGNOSES.index("melanoma")).cast(pl.Int64)
        table = table.with_columns(target.alias(task.target))
    return Cohort(table, task, labelled, FORBIDDEN, text.sha256)


binary = Ph2(BINARY)
three_classes = Ph2(THREE_CLASSES)
