"""The published files, columns and diagnoses of HAM10000, and the two tasks that are made of them."""

from dataclasses import replace

from data.cohort import Task
from data.tables.schema import Column

METADATA = "HAM10000_metadata.csv"
SOURCES = "HAM10000_source_dataset.csv"
"""Which of the four collections an image comes from; published beside the table, and not always at hand."""

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

SOURCE_SCHEMA = (
    Column("image_id", "text", nullable=False, unique=True),
    Column("dataset", "category", nullable=False, train_only=True),
)
"""A place to hold out whole, and no feature: a new image comes from none of these collections."""

TEST_SCHEMA = tuple(column for column in SCHEMA if not column.train_only)

FORBIDDEN = frozenset({"target", *(column.name for column in (*SCHEMA, *SOURCE_SCHEMA) if column.train_only)})

BINARY = Task(lesion="image_id", group="lesion_id", target="target", score="auc", row_noun="image", group_noun="lesion")
SEVEN_CLASSES = replace(BINARY, classes=DIAGNOSES, malignant=MALIGNANT)
