"""HAM10000, read from its metadata table and its images as published, for two classes or for all seven.

`HAM10000_metadata.csv` and the `.jpg` files at any depth below the folder (the two image parts of the publication may
stay apart). Several images show one lesion, so the group is `lesion_id`: folds by image would put copies of a lesion on
both sides. `dx_type` says how the diagnosis was confirmed and is known only after it: never a feature.
"""

from functools import partial
from pathlib import Path

import polars as pl

from data.cohort import Cohort, DataFolder, Task
from data.csv_table import read_csv
from data.errors import DataError
from data.images import FolderImages
from data.reading import FolderError, Readout
from data.schema import Column, validate

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

FORBIDDEN = frozenset({"target", *(column.name for column in SCHEMA if column.train_only)})

BINARY = Task(lesion="image_id", group="lesion_id", target="target", score="auc")
SEVEN_CLASSES = Task(lesion="image_id", group="lesion_id", target="target", classes=DIAGNOSES, score="auc")


def read(folder: Path, task: Task) -> DataFolder:
    """Read and validate the folder; `FolderError` lists every problem."""
    path = folder / METADATA
    if not path.is_file():
        raise DataError(f"{folder} has no {METADATA}; give the folder with that table and the images of HAM10000")
    found = Readout(train_images=FolderImages(folder))
    text = read_csv(path)
    checked = validate(text, SCHEMA)
    strange = set(checked.table["dx"].drop_nulls()) - set(DIAGNOSES) if "dx" in checked.table.columns else set()
    found.errors = [f"{path.name}: {error}" for error in checked.errors]
    if strange:
        found.errors.append(f"{path.name}: column dx: {', '.join(sorted(strange))}: not one of {', '.join(DIAGNOSES)}")
    found.notes = [f"{path.name}: {note}" for note in checked.notes]
    if found.errors or found.train_images is None:
        raise FolderError(folder, found)
    # "unknown" is how this table spells missing.
    table = checked.table.with_columns(pl.col("sex", "localization").replace("unknown", None)).with_columns(
        target_of(task).alias(task.target)
    )
    cohort = Cohort(table, task, labelled=True, forbidden=FORBIDDEN, fingerprint=text.sha256)
    return DataFolder(cohort, None, found.train_images, None, notes=tuple(found.notes))


def target_of(task: Task) -> pl.Expr:
    """Class index of each image: malignant or not, or the diagnosis."""
    if len(task.classes) == 2:
        return pl.col("dx").is_in(MALIGNANT).cast(pl.Int64)
    return pl.col("dx").replace_strict({name: code for code, name in enumerate(DIAGNOSES)}, return_dtype=pl.Int64)


read_binary = partial(read, task=BINARY)
read_seven_classes = partial(read, task=SEVEN_CLASSES)
