"""What is known about published metadata columns: meaning, unit, and which must never become a feature.

The readers in `data` check that columns are there and well formed; this module only says what they mean to the
feature families. A column that is not listed here is used when the recipe names it in `extra_columns`.
"""

from typing import Literal, NamedTuple


class Column(NamedTuple):
    """One published column."""

    meaning: str
    unit: str = "1"
    kind: Literal["number", "category"] = "number"


AGE = "age_approx"
DIAMETER = "clin_size_long_diam_mm"
A, A_SKIN = "tbp_lv_A", "tbp_lv_Aext"
B, B_SKIN = "tbp_lv_B", "tbp_lv_Bext"
C, C_SKIN = "tbp_lv_C", "tbp_lv_Cext"
H, H_SKIN = "tbp_lv_H", "tbp_lv_Hext"
L, L_SKIN = "tbp_lv_L", "tbp_lv_Lext"
AREA = "tbp_lv_areaMM2"
AREA_PERIMETER = "tbp_lv_area_perim_ratio"
COLOUR_SD = "tbp_lv_color_std_mean"
DELTA_A, DELTA_B, DELTA_L = "tbp_lv_deltaA", "tbp_lv_deltaB", "tbp_lv_deltaL"
DELTA_LB, DELTA_LB_NORM = "tbp_lv_deltaLB", "tbp_lv_deltaLBnorm"
ECCENTRICITY = "tbp_lv_eccentricity"
MINOR_AXIS = "tbp_lv_minorAxisMM"
NEVUS = "tbp_lv_nevi_confidence"
BORDER, COLOUR = "tbp_lv_norm_border", "tbp_lv_norm_color"
PERIMETER = "tbp_lv_perimeterMM"
RADIAL_SD = "tbp_lv_radial_color_std_max"
L_SD, L_SD_SKIN = "tbp_lv_stdL", "tbp_lv_stdLExt"
ASYMMETRY, ASYMMETRY_ANGLE = "tbp_lv_symm_2axis", "tbp_lv_symm_2axis_angle"
X, Y, Z = "tbp_lv_x", "tbp_lv_y", "tbp_lv_z"
SEX = "sex"
SITE = "anatom_site_general"
LOCATION, LOCATION_SIMPLE = "tbp_lv_location", "tbp_lv_location_simple"

KNOWN: dict[str, Column] = {
    AGE: Column("age of the patient, in steps of five", "years"),
    SEX: Column("sex of the patient", kind="category"),
    SITE: Column("anatomic site", kind="category"),
    DIAMETER: Column("longest diameter", "mm"),
    "tbp_tile_type": Column("lighting of the whole-body photograph", kind="category"),
    A: Column("green-red inside the lesion", "CIELAB"),
    A_SKIN: Column("green-red of the skin around", "CIELAB"),
    B: Column("blue-yellow inside the lesion", "CIELAB"),
    B_SKIN: Column("blue-yellow of the skin around", "CIELAB"),
    C: Column("chroma inside the lesion", "CIELAB"),
    C_SKIN: Column("chroma of the skin around", "CIELAB"),
    H: Column("hue inside the lesion", "degrees"),
    H_SKIN: Column("hue of the skin around", "degrees"),
    L: Column("lightness inside the lesion", "CIELAB"),
    L_SKIN: Column("lightness of the skin around", "CIELAB"),
    AREA: Column("area", "mm2"),
    AREA_PERIMETER: Column("perimeter squared over area", "1"),
    COLOUR_SD: Column("colour irregularity: mean of the colour deviations", "CIELAB"),
    DELTA_A: Column("green-red contrast, lesion less skin", "CIELAB"),
    DELTA_B: Column("blue-yellow contrast, lesion less skin", "CIELAB"),
    DELTA_L: Column("lightness contrast, lesion less skin", "CIELAB"),
    DELTA_LB: Column("contrast of lightness and blue-yellow together", "CIELAB"),
    DELTA_LB_NORM: Column("contrast to the immediate skin", "CIELAB"),
    ECCENTRICITY: Column("eccentricity of the fitted ellipse", "1"),
    LOCATION: Column("body part, fine", kind="category"),
    LOCATION_SIMPLE: Column("body part, coarse", kind="category"),
    MINOR_AXIS: Column("smallest diameter", "mm"),
    NEVUS: Column("confidence of a network that the lesion is a nevus", "%"),
    BORDER: Column("border irregularity", "0 to 10"),
    COLOUR: Column("colour variation", "0 to 10"),
    PERIMETER: Column("perimeter", "mm"),
    RADIAL_SD: Column("colour asymmetry around the centre", "CIELAB"),
    L_SD: Column("deviation of lightness inside the lesion", "CIELAB"),
    L_SD_SKIN: Column("deviation of lightness of the skin around", "CIELAB"),
    ASYMMETRY: Column("border asymmetry about the best axis", "1"),
    ASYMMETRY_ANGLE: Column("angle of that axis", "degrees"),
    X: Column("position on the body, left to right", "mm"),
    Y: Column("position on the body, height", "mm"),
    Z: Column("position on the body, back to front", "mm"),
    "attribution": Column("institution that took the photograph", kind="category"),
    # HAM10000
    "age": Column("age of the patient", "years"),
    "localization": Column("body part", kind="category"),
}

MEASURED: dict[str, tuple[str, ...]] = {
    "size": (DIAMETER, MINOR_AXIS, AREA, PERIMETER),
    "outline": (AREA_PERIMETER, BORDER, ECCENTRICITY, ASYMMETRY, ASYMMETRY_ANGLE),
    "colour": (A, B, C, H, L),
    "skin": (A_SKIN, B_SKIN, C_SKIN, H_SKIN, L_SKIN, L_SD_SKIN),
    "contrast": (DELTA_A, DELTA_B, DELTA_L, DELTA_LB, DELTA_LB_NORM),
    "variegation": (COLOUR, COLOUR_SD, RADIAL_SD, L_SD),
    "position": (X, Y, Z, LOCATION, LOCATION_SIMPLE),
    "nevus": (NEVUS,),
}
"""What the instrument measured on the lesion (WB360), by what it is about. Every other column is basic: known of the
patient, the place on the body or the photograph without measuring anything."""

PATIENT_CONSTANT = frozenset({AGE, "age"})
"""Numbers that describe the patient: there is nothing to compare between lesions of one patient."""

FORBIDDEN = frozenset(
    {
        "target",
        "lesion_id",
        "iddx_full",
        "iddx_1",
        "iddx_2",
        "iddx_3",
        "iddx_4",
        "iddx_5",
        "mel_mitotic_index",
        "mel_thick_mm",
        "tbp_lv_dnn_lesion_confidence",
        "dx",
        "dx_type",
    }
)
"""Published only where the diagnosis is known; a cohort may forbid more (`Cohort.forbidden`)."""

STRONG = (
    H,
    H_SKIN,
    B,
    DELTA_B,
    L,
    L_SD,
    L_SD_SKIN,
    DIAMETER,
    MINOR_AXIS,
    AREA,
    PERIMETER,
    DELTA_L,
    DELTA_LB_NORM,
    COLOUR_SD,
    RADIAL_SD,
    BORDER,
    ECCENTRICITY,
)
"""The seventeen columns in which lesions of one patient are placed to find the odd one out: hue, contrast, variegation,
size and outline, each by its stronger representatives (univariate AUC on ISIC 2024: H 0.79, deltaB 0.76, Hext 0.71)."""


def is_measured(name: str) -> bool:
    """Whether a column is a measurement of the instrument; otherwise it is basic."""
    return any(name in group for group in MEASURED.values())
