"""HAM10000, read from its metadata table and its images as published, for two classes or for all seven.

`HAM10000_metadata.csv` and the `.jpg` files at any depth below the folder (the two image parts of the publication may
stay apart). Several images show one lesion, so the group is `lesion_id`: folds by image would put copies of a lesion on
both sides. `dx_type` says how the diagnosis was confirmed and is known only after it: never a feature.
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data.cohort import Cohort, DataFolder, Task
from data.errors import DataError
from data.images.sources import FolderImages
from data.readers.reading import FolderError, Readout, Unlabelled, cohort_of, given_images
from data.tables.csv import read_csv
from data.tables.schema import Column, validate

METADATA = "HAM10000_metadata.csv"

DIAGNOSES = ("nv", "mel", "bkl", "bcc", "akiec", "vasc", "df")
"""By how often they occur."""

MALIGNANT = ("mel", "bcc", "akiec")
"""Melanoma, basal cell carcinoma, and actinic keratoses with intraepithelial carcinoma."""

SCHEMA = (
    Column("image_id", "text", nullable=False, unique=True),
    Column("lesion_id", "text", nullable=False),
    Column("dx", "category", nullable=False, train_only=True, known=DIAGNOSES),
    Column("dx_type", "category", train_only=True),
    Column("age", "number", "years", 0, 120),
    Column("sex", "category"),
    Column("localization", "category"),
)

TEST_SCHEMA = tuple(column for column in SCHEMA if not column.train_only)

FORBIDDEN = frozenset({"target", *(column.name for column in SCHEMA if column.train_only)})

BINARY = Task(lesion="image_id", group="lesion_id", target="target", score="auc")
SEVEN_CLASSES = Task(lesion="image_id", group="lesion_id", target="target", classes=DIAGNOSES, score="auc")


@dataclass(frozen=True)
class Ham10000:
    """The reader of HAM10000 for one of its two tasks."""

    task: Task

    def read(self, folder: Path, /) -> DataFolder:
        """Read and validate the folder; `FolderError` lists every problem."""
        path = folder / METADATA
        if not path.is_file():
            raise DataError(f"{folder} has no {METADATA}; give the folder with that table and the images of HAM10000")
        found = Readout(train_images=FolderImages(folder))
        found.train = _cohort(path, self.task, SCHEMA, found)
        return DataFolder(cohort_of(found, folder), None, found.train_images, None, notes=tuple(found.notes))

    def read_test(self, metadata_path: Path, images_path: Path | None, /) -> Unlabelled:
        """Read images to predict: a table with the columns of the published one that no diagnosis gives."""
        found = Readout()
        cohort = _cohort(metadata_path, self.task, TEST_SCHEMA, found)
        images = given_images(images_path, found)
        if found.errors or cohort is None:
            raise FolderError(metadata_path.parent, found)
        return cohort, images, tuple(found.notes)


def _cohort(path: Path, task: Task, schema: tuple[Column, ...], found: Readout) -> Cohort | None:
    """One table as a cohort, with a target where it has the diagnoses; None when unusable, the reasons in `found`."""
    try:
        text = read_csv(path)
    except DataError as error:
        found.errors.append(str(error))
        return None
    checked = validate(text, schema)
    labelled = schema is SCHEMA
    strange = set(checked.table["dx"].drop_nulls()) - set(DIAGNOSES) if "dx" in checked.table.columns else set()
    found.errors += [f"{path.name}: {error}" for error in checked.errors]
    if strange:
        found.errors.append(f"{path.name}: column dx: {', '.join(sorted(strange))}: not one of {', '.join(DIAGNOSES)}")
    found.notes += [f"{path.name}: {note}" for note in checked.notes]
    if found.errors:
        return None
    # "unknown" is how this table spells missing.
    table = checked.table.with_columns(pl.col("sex", "localization").replace("unknown", None))
    if labelled:
        table = table.with_columns(target_of(task).alias(task.target))
    return Cohort(table, task, labelled, FORBIDDEN, text.sha256)


def target_of(task: Task) -> pl.Expr:
    """Class index of each image: malignant or not, or the diagnosis."""
    if len(task.classes) == 2:
        return pl.col("dx").is_in(MALIGNANT).cast(pl.Int64)
    return pl.col("dx").replace_strict({name: code for code, name in enumerate(DIAGNOSES)}, return_dtype=pl.Int64)


binary = Ham10000(BINARY)
seven_classes = Ham10000(SEVEN_CLASSES)
