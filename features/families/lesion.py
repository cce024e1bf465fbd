"""Features of one lesion alone: published columns, size and shape, colour, border, position.

Each family is a function from the source to a list of features with their expressions. A feature whose columns the
data do not have is left out by `features.table`. Division by zero gives a missing value (`source.ratio`).
"""

from math import pi

import polars as pl

from features.columns import (
    AGE,
    AREA,
    AREA_PERIMETER,
    ASYMMETRY,
    BORDER,
    COLOUR,
    COLOUR_SD,
    DELTA_A,
    DELTA_B,
    DELTA_L,
    DELTA_LB_NORM,
    DIAMETER,
    ECCENTRICITY,
    H_SKIN,
    KNOWN,
    L_SD,
    L_SD_SKIN,
    L_SKIN,
    MINOR_AXIS,
    NEVUS,
    PERIMETER,
    RADIAL_SD,
    Column,
    H,
    L,
    X,
    Y,
    Z,
)
from features.families.family import COMPACT, EVERY, Settings, family
from features.source import Feature, Made, Source, harmonic, ratio

age, diameter, minor_axis, area, perimeter = (pl.col(c) for c in (AGE, DIAMETER, MINOR_AXIS, AREA, PERIMETER))
hue, hue_skin, lightness, lightness_skin = (pl.col(c) for c in (H, H_SKIN, L, L_SKIN))
delta_a, delta_b, delta_l, delta_lb_norm = (pl.col(c) for c in (DELTA_A, DELTA_B, DELTA_L, DELTA_LB_NORM))
colour_sd, radial_sd, l_sd, l_sd_skin = (pl.col(c) for c in (COLOUR_SD, RADIAL_SD, L_SD, L_SD_SKIN))
border_score, colour_score, asymmetry = (pl.col(c) for c in (BORDER, COLOUR, ASYMMETRY))
eccentricity, area_perimeter, nevus = (pl.col(c) for c in (ECCENTRICITY, AREA_PERIMETER, NEVUS))


@family(place=10, sets=EVERY)
def published(source: Source, settings: Settings) -> list[Made]:
    """Columns as published."""

    def made(name: str, kind: str) -> Made:
        column = KNOWN.get(name, Column("extra column of the data"))
        unit = column.unit if kind == "number" else "category"
        return Made(
            Feature(name, "published", column.meaning, unit, "number" if kind == "number" else "category"), pl.col(name)
        )

    return [made(name, "number") for name in source.numbers] + [made(name, "category") for name in source.categories]


@family(place=20, sets=COMPACT, lesion_alone=True)
def size(source: Source, settings: Settings) -> list[Made]:
    """Size and shape: how large, how elongated, how far from a disc, and how that goes with age."""
    disc_perimeter = 2 * pi * (area / pi).sqrt()
    return described(
        "size",
        ("minor_over_diameter", "minor axis / diameter", "1", ratio(minor_axis, diameter)),
        ("shape_index", "area / perimeter^2", "1", ratio(area, perimeter**2)),
        ("perimeter_over_area", "perimeter / area", "1/mm", ratio(perimeter, area)),
        ("area_over_perimeter", "area / perimeter", "mm", ratio(area, perimeter)),
        ("log_area", "log(area + 1)", "log mm2", area.log1p()),
        ("diameter_over_age", "diameter / age", "mm/year", ratio(diameter, age)),
        ("diameter_by_age", "diameter * age", "mm year", diameter * age),
        ("diameter_with_age", "sqrt(diameter^2 + age^2)", "1", (diameter**2 + age**2).sqrt()),
        ("perimeter_over_disc", "perimeter / (2 pi sqrt(area / pi))", "1", ratio(perimeter, disc_perimeter)),
        ("asymmetry_by_perimeter", "symm_2axis * perimeter", "mm", asymmetry * perimeter),
        ("age_diameter_asymmetry", "age * diameter * symm_2axis", "mm year", age * diameter * asymmetry),
        ("age_area_asymmetry", "age * area * symm_2axis", "mm2 year", age * area * asymmetry),
    )


@family(place=30, sets=COMPACT, lesion_alone=True)
def colour(source: Source, settings: Settings) -> list[Made]:
    """Colour: contrast to the skin around and variegation inside."""
    square = delta_a**2 + delta_b**2 + delta_l**2
    absolute = delta_l.abs() + delta_a.abs() + delta_b.abs()
    return described(
        "colour",
        ("hue_contrast", "|H - Hext|", "degrees", (hue - hue_skin).abs()),
        ("lightness_contrast", "|L - Lext|", "CIELAB", (lightness - lightness_skin).abs()),
        ("colour_distance", "sqrt(deltaA^2 + deltaB^2 + deltaL^2)", "CIELAB", square.sqrt()),
        ("colour_distance_mean", "sqrt((deltaA^2 + deltaB^2 + deltaL^2) / 3)", "CIELAB", (square / 3).sqrt()),
        ("delta_mean", "(deltaA + deltaB + deltaL) / 3", "CIELAB", (delta_a + delta_b + delta_l) / 3),
        (
            "delta_sum",
            "deltaA + deltaB + deltaL + deltaLBnorm",
            "CIELAB",
            delta_a + delta_b + delta_l + delta_lb_norm,
        ),
        ("delta_absolute", "|deltaL| + |deltaA| + |deltaB|", "CIELAB", absolute),
        ("colour_sd_over_radial", "color_std_mean / radial_color_std_max", "1", ratio(colour_sd, radial_sd)),
        ("colour_sd_over_skin", "color_std_mean / stdLExt", "1", ratio(colour_sd, l_sd_skin)),
        ("lightness_sd_over_skin_lightness", "stdL / Lext", "1", ratio(l_sd, lightness_skin)),
        (
            "lightness_sd_with_skin_lightness",
            "stdL * Lext / (stdL + Lext)",
            "CIELAB",
            ratio(l_sd * lightness_skin, l_sd + lightness_skin),
        ),
        ("hue_mean", "(H + Hext) / 2", "degrees", (hue + hue_skin) / 2),
        ("hue_by_colour_sd", "H * color_std_mean", "degrees CIELAB", hue * colour_sd),
        ("diameter_over_contrast", "diameter / deltaLBnorm", "mm/CIELAB", ratio(diameter, delta_lb_norm)),
        ("contrast_and_variation", "deltaLBnorm + norm_color", "1", delta_lb_norm + colour_score),
    )


@family(place=40, sets=COMPACT, lesion_alone=True)
def border(source: Source, settings: Settings) -> list[Made]:
    """Border: irregular outline, alone and together with asymmetry, colour and elongation."""
    shape_index = ratio(area, perimeter**2)
    return described(
        "border",
        ("border_and_asymmetry", "norm_border + symm_2axis", "1", border_score + asymmetry),
        (
            "border_asymmetry_shape",
            "norm_border + symm_2axis + area / perimeter^2",
            "1",
            border_score + asymmetry + shape_index,
        ),
        ("border_by_asymmetry", "norm_border * symm_2axis", "1", border_score * asymmetry),
        (
            "border_asymmetry_harmonic",
            "2 norm_border symm_2axis / (norm_border + symm_2axis)",
            "1",
            harmonic(border_score, asymmetry),
        ),
        ("border_by_colour", "norm_border * norm_color", "1", border_score * colour_score),
        (
            "border_colour_harmonic",
            "2 norm_border norm_color / (norm_border + norm_color)",
            "1",
            harmonic(border_score, colour_score),
        ),
        (
            "border_colour_eccentricity_mean",
            "(norm_border + norm_color + eccentricity) / 3",
            "1",
            (border_score + colour_score + eccentricity) / 3,
        ),
        (
            "outline_mean",
            "(area_perim_ratio + eccentricity + norm_color + symm_2axis) / 4",
            "1",
            (area_perimeter + eccentricity + colour_score + asymmetry) / 4,
        ),
        (
            "variegation_outline_mean",
            "(color_std_mean + area_perim_ratio + symm_2axis) / 3",
            "1",
            (colour_sd + area_perimeter + asymmetry) / 3,
        ),
        ("radial_by_asymmetry", "radial_color_std_max * symm_2axis", "CIELAB", radial_sd * asymmetry),
        ("eccentricity_by_colour_sd", "eccentricity * color_std_mean", "CIELAB", eccentricity * colour_sd),
        ("nevus_over_age", "nevi_confidence / age", "%/year", ratio(nevus, age)),
    )


@family(place=50, sets=COMPACT, lesion_alone=True)
def position(source: Source, settings: Settings) -> list[Made]:
    """Position on the body, in the coordinates of the photograph."""
    x, y, z = pl.col(X), pl.col(Y), pl.col(Z)
    distance = (x**2 + y**2 + z**2).sqrt()
    return described(
        "position",
        ("origin_distance", "sqrt(x^2 + y^2 + z^2)", "mm", distance),
        ("position_angle", "atan2(y, x)", "radians", pl.arctan2(y, x)),
        ("area_by_distance", "area * sqrt(x^2 + y^2 + z^2)", "mm3", area * distance),
    )


def described(name: str, *entries: tuple[str, str, str, pl.Expr]) -> list[Made]:
    """Features of one family from (name, formula, unit, expression)."""
    return [Made(Feature(feature, name, formula, unit), value) for feature, formula, unit, value in entries]
