"""The published columns of ISIC 2024 (SLICE-3D), 55 for training lesions and 44 for test lesions."""

from data.cohort import Task
from data.tables.schema import Column

TASK = Task(lesion="isic_id", group="patient_id", target="target")

SITES = ("anterior torso", "head/neck", "lower extremity", "posterior torso", "upper extremity")


def _number(
    name: str, unit: str = "", low: float | None = None, high: float | None = None, train_only: bool = False
) -> Column:
    return Column(name, "number", unit, low, high, train_only=train_only)


def _train_only(name: str) -> Column:
    return Column(name, "text", train_only=True)


# Limits are what is possible, not what was seen: a value beyond one is a slip of the pen, a unit or a column.
SCHEMA = (
    Column("isic_id", "text", nullable=False, unique=True),
    Column("target", "integer", low=0, high=1, nullable=False, train_only=True),
    Column("patient_id", "text", nullable=False),
    _number("age_approx", "years", 0, 120),
    Column("sex", "category", known=("female", "male")),
    Column("anatom_site_general", "category", known=SITES),
    _number("clin_size_long_diam_mm", "mm", 0, 500),
    Column("image_type", "category"),
    Column("tbp_tile_type", "category"),
    _number("tbp_lv_A", "CIELAB", -200, 200),
    _number("tbp_lv_Aext", "CIELAB", -200, 200),
    _number("tbp_lv_B", "CIELAB", -200, 200),
    _number("tbp_lv_Bext", "CIELAB", -200, 200),
    _number("tbp_lv_C", "CIELAB", 0, 300),
    _number("tbp_lv_Cext", "CIELAB", 0, 300),
    _number("tbp_lv_H", "degrees", -180, 360),
    _number("tbp_lv_Hext", "degrees", -180, 360),
    _number("tbp_lv_L", "CIELAB", 0, 150),
    _number("tbp_lv_Lext", "CIELAB", 0, 150),
    _number("tbp_lv_areaMM2", "mm2", 0, 1e5),
    _number("tbp_lv_area_perim_ratio", "", 0, 1e4),
    _number("tbp_lv_color_std_mean", "CIELAB", 0, 200),
    _number("tbp_lv_deltaA", "CIELAB", -300, 300),
    _number("tbp_lv_deltaB", "CIELAB", -300, 300),
    _number("tbp_lv_deltaL", "CIELAB", -300, 300),
    _number("tbp_lv_deltaLB", "CIELAB", 0, 300),
    _number("tbp_lv_deltaLBnorm", "CIELAB", 0, 300),
    _number("tbp_lv_eccentricity", "", 0, 1),
    Column("tbp_lv_location", "category"),
    Column("tbp_lv_location_simple", "category"),
    _number("tbp_lv_minorAxisMM", "mm", 0, 500),
    _number("tbp_lv_nevi_confidence", "%", 0, 100),
    _number("tbp_lv_norm_border", "", 0, 10),
    _number("tbp_lv_norm_color", "", 0, 10),
    _number("tbp_lv_perimeterMM", "mm", 0, 5000),
    _number("tbp_lv_radial_color_std_max", "CIELAB", 0, 200),
    _number("tbp_lv_stdL", "CIELAB", 0, 150),
    _number("tbp_lv_stdLExt", "CIELAB", 0, 150),
    _number("tbp_lv_symm_2axis", "", 0, 1),
    Column("tbp_lv_symm_2axis_angle", "integer", "degrees", 0, 180),
    _number("tbp_lv_x", "mm", -5000, 5000),
    _number("tbp_lv_y", "mm", -5000, 5000),
    _number("tbp_lv_z", "mm", -5000, 5000),
    Column("attribution", "category"),
    Column("copyright_license", "category"),
    _train_only("lesion_id"),
    _train_only("iddx_full"),
    _train_only("iddx_1"),
    _train_only("iddx_2"),
    _train_only("iddx_3"),
    _train_only("iddx_4"),
    _train_only("iddx_5"),
    _train_only("mel_mitotic_index"),
    _number("mel_thick_mm", "mm", 0, 500, train_only=True),
    _number("tbp_lv_dnn_lesion_confidence", "%", 0, 100, train_only=True),
)

TEST_SCHEMA = tuple(column for column in SCHEMA if not column.train_only)

FORBIDDEN = frozenset(column.name for column in SCHEMA if column.train_only)
"""The target and the ten columns known only after the diagnosis."""

SUBMISSION_SCHEMA = (Column("isic_id", "text", nullable=False, unique=True), _number("target"))
