"""The published columns of ISIC 2024 (SLICE-3D), 55 for training lesions and 44 for test lesions."""

from data.cohort import Task
from data.tables.schema import Column

TASK = Task(lesion="isic_id", group="patient_id", target="target")

SITES = ("anterior torso", "head/neck", "lower extremity", "posterior torso", "upper extremity")


def _numbers(names: str, unit: str = "", low: float | None = None, high: float | None = None) -> tuple[Column, ...]:
    """Columns of one kind: what the total-body photograph measures of a lesion and of the skin around (`ext`)."""
    return tuple(Column(f"tbp_lv_{name}", "number", unit, low, high) for name in names.split())


# Limits are what is possible, not what was seen: a value beyond one is a slip of the pen, a unit or a column.
SCHEMA = (
    Column("isic_id", "text", nullable=False, unique=True),
    Column("target", "integer", low=0, high=1, nullable=False, train_only=True),
    Column("patient_id", "text", nullable=False),
    Column("age_approx", "number", "years", 0, 120),
    Column("sex", "category", known=("female", "male")),
    Column("anatom_site_general", "category", known=SITES),
    Column("clin_size_long_diam_mm", "number", "mm", 0, 500),
    Column("image_type", "category"),
    Column("tbp_tile_type", "category"),
    *_numbers("A Aext B Bext", "CIELAB", -200, 200),
    *_numbers("C Cext", "CIELAB", 0, 300),
    *_numbers("H Hext", "degrees", -180, 360),
    *_numbers("L Lext", "CIELAB", 0, 150),
    *_numbers("areaMM2", "mm2", 0, 1e5),
    *_numbers("area_perim_ratio", "", 0, 1e4),
    *_numbers("color_std_mean", "CIELAB", 0, 200),
    *_numbers("deltaA deltaB deltaL", "CIELAB", -300, 300),
    *_numbers("deltaLB deltaLBnorm", "CIELAB", 0, 300),
    *_numbers("eccentricity", "", 0, 1),
    Column("tbp_lv_location", "category"),
    Column("tbp_lv_location_simple", "category"),
    *_numbers("minorAxisMM", "mm", 0, 500),
    *_numbers("nevi_confidence", "%", 0, 100),
    *_numbers("norm_border norm_color", "", 0, 10),
    *_numbers("perimeterMM", "mm", 0, 5000),
    *_numbers("radial_color_std_max", "CIELAB", 0, 200),
    *_numbers("stdL stdLExt", "CIELAB", 0, 150),
    *_numbers("symm_2axis", "", 0, 1),
    Column("tbp_lv_symm_2axis_angle", "integer", "degrees", 0, 180),
    *_numbers("x y z", "mm", -5000, 5000),
    Column("attribution", "category"),
    Column("copyright_license", "category"),
    *(
        Column(name, "text", train_only=True)
        for name in ("lesion_id", "iddx_full", *(f"iddx_{level}" for level in range(1, 6)), "mel_mitotic_index")
    ),
    Column("mel_thick_mm", "number", "mm", 0, 500, train_only=True),
    Column("tbp_lv_dnn_lesion_confidence", "number", "%", 0, 100, train_only=True),
)

TEST_SCHEMA = tuple(column for column in SCHEMA if not column.train_only)

FORBIDDEN = frozenset(column.name for column in SCHEMA if column.train_only)
"""The target and the ten columns known only after the diagnosis."""

SUBMISSION_SCHEMA = (Column("isic_id", "text", nullable=False, unique=True), Column("target", "number"))
