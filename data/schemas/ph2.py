"""The published files, criteria and diagnoses of PH2, in one spelling, and the two tasks that are made of them."""

from dataclasses import replace

from data.cohort import Task
from data.tables.schema import Column

TABLES = ("PH2_dataset.txt", "PH2_dataset.xlsx")
IMAGES = "PH2 Dataset images"

DIAGNOSES = ("common_nevus", "atypical_nevus", "melanoma")
"""In the order of the codes 0, 1, 2."""

COLOURS = ("white", "red", "light_brown", "dark_brown", "blue_gray", "black")
"""In the order of the codes 1 to 6."""

CRITERIA = ("asymmetry", "pigment_network", "dots_globules", "streaks", "regression_areas", "blue_whitish_veil")
"""Scored on the picture before anything is known."""

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

BINARY = Task("image_id", "image_id", "target", ("other", "melanoma"), "auc", row_noun="image", group_noun="image")
THREE_CLASSES = replace(BINARY, classes=DIAGNOSES)
