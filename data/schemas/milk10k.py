"""The published files, columns and diagnoses of MILK10k, and the task that is made of them."""

from data.cohort import Task
from data.tables.schema import Column

METADATA = "MILK10k_{part}_Metadata.csv"
"""One row for each image; `part` is Training or Test."""
IMAGES = "MILK10k_{part}_Input"
"""A folder for each lesion, in it its two images."""
TRUTH = "MILK10k_Training_GroundTruth.csv"
"""One row for each lesion, with a column of 0 and 1 for each diagnosis."""

KINDS = {"dermoscopic": "dermoscopic", "clinical": "clinical: close-up"}
"""The two kinds of image a lesion has, and what the table calls them."""

DIAGNOSES = ("AKIEC", "BCC", "BEN_OTH", "BKL", "DF", "INF", "MAL_OTH", "MEL", "NV", "SCCKA", "VASC")
"""In the order of the answer file."""

SUPPLEMENT = {
    "diagnosis_full": "the diagnosis in words",
    "diagnosis_confirm_type": "how the diagnosis was confirmed, known only after it",
    "invasion_thickness_interval": "measured on the excised tumour",
}
"""Columns of MILK10k_Training_Supplement.csv, each with the reason why it is never a feature."""

CONCEPTS = tuple(
    f"MONET_{name}"
    for name in (
        "ulceration_crust",
        "hair",
        "vasculature_vessels",
        "erythema",
        "pigmented",
        "gel_water_drop_fluid_dermoscopy_liquid",
        "skin_markings_pen_ink_purple_pen",
    )
)
"""What the network MONET sees in an image, as a probability."""

OF_LESION = (
    Column("age_approx", "number", "years", 0, 120),
    Column("sex", "category"),
    Column("skin_tone_class", "integer", low=0, high=5),
    Column("site", "category"),
)
"""The same in both rows of a lesion."""

OF_IMAGE = (
    Column("isic_id", "text", nullable=False, unique=True),
    Column("attribution", "category"),
    Column("copyright_license", "category"),
    Column("image_manipulation", "category"),
    *(Column(name, "number", "", 0, 1) for name in CONCEPTS),
)
"""Each image has its own: two columns in the table of lesions, named after the kind of image."""

METADATA_SCHEMA = (
    Column("lesion_id", "text", nullable=False),
    Column("image_type", "category", nullable=False),
    *OF_LESION,
    *OF_IMAGE,
)

TRUTH_SCHEMA = (
    Column("lesion_id", "text", nullable=False, unique=True),
    *(Column(name, "integer", low=0, high=1, nullable=False, train_only=True) for name in DIAGNOSES),
)

FORBIDDEN = frozenset({"target", *DIAGNOSES, *SUPPLEMENT})
"""The answer, and what is known only with it."""

TASK = Task(
    lesion="lesion_id",
    group="lesion_id",
    target="target",
    classes=DIAGNOSES,
    score="macro_f1",
    row_noun="lesion",
    group_noun="lesion",
    malignant=("AKIEC", "BCC", "MAL_OTH", "MEL", "SCCKA"),
)
"""Patients are not named, so every lesion is a group of its own."""
