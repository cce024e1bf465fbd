import math
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from data.cohort import Cohort
from features.columns import KNOWN
from features.recipe import FeatureRecipe
from features.table import build

FAMILIES = ("size", "colour", "border", "position")


def reference(v: dict[str, float]) -> dict[str, float]:
    """Every feature of one lesion, written out for plain floats."""
    age, d, minor = v["age_approx"], v["clin_size_long_diam_mm"], v["tbp_lv_minorAxisMM"]
    area, p, symm = v["tbp_lv_areaMM2"], v["tbp_lv_perimeterMM"], v["tbp_lv_symm_2axis"]
    h, hext, lext = v["tbp_lv_H"], v["tbp_lv_Hext"], v["tbp_lv_Lext"]
    da, db, dl, norm = (v[f"tbp_lv_delta{c}"] for c in ("A", "B", "L", "LBnorm"))
    csd, radial, sd, sdext = (v[f"tbp_lv_{c}"] for c in ("color_std_mean", "radial_color_std_max", "stdL", "stdLExt"))
    brd, col, ecc = v["tbp_lv_norm_border"], v["tbp_lv_norm_color"], v["tbp_lv_eccentricity"]
    ratio, nevi = v["tbp_lv_area_perim_ratio"], v["tbp_lv_nevi_confidence"]
    x, y, z = v["tbp_lv_x"], v["tbp_lv_y"], v["tbp_lv_z"]
    distance = math.hypot(x, y, z)
    return {
        "minor_over_diameter": minor / d,
        "shape_index": area / p**2,
        "perimeter_over_area": p / area,
        "area_over_perimeter": area / p,
        "log_area": math.log(area + 1),
        "diameter_over_age": d / age,
        "diameter_by_age": d * age,
        "diameter_with_age": math.hypot(d, age),
        "perimeter_over_disc": p / (2 * math.pi * math.sqrt(area / math.pi)),
        "asymmetry_by_perimeter": symm * p,
        "age_diameter_asymmetry": age * d * symm,
        "age_area_asymmetry": age * area * symm,
        "hue_contrast": abs(h - hext),
        "lightness_contrast": abs(v["tbp_lv_L"] - lext),
        "colour_distance": math.hypot(da, db, dl),
        "colour_distance_mean": math.hypot(da, db, dl) / math.sqrt(3),
        "delta_mean": (da + db + dl) / 3,
        "delta_sum": da + db + dl + norm,
        "delta_absolute": abs(da) + abs(db) + abs(dl),
        "colour_sd_over_radial": csd / radial,
        "colour_sd_over_skin": csd / sdext,
        "lightness_sd_over_skin_lightness": sd / lext,
        "lightness_sd_with_skin_lightness": 1 / (1 / sd + 1 / lext),
        "hue_mean": (h + hext) / 2,
        "hue_by_colour_sd": h * csd,
        "diameter_over_contrast": d / norm,
        "contrast_and_variation": norm + col,
        "border_and_asymmetry": brd + symm,
        "border_asymmetry_shape": brd + symm + area / p**2,
        "border_by_asymmetry": brd * symm,
        "border_asymmetry_harmonic": 2 / (1 / brd + 1 / symm),
        "border_by_colour": brd * col,
        "border_colour_harmonic": 2 / (1 / brd + 1 / col),
        "border_colour_eccentricity_mean": (brd + col + ecc) / 3,
        "outline_mean": (ratio + ecc + col + symm) / 4,
        "variegation_outline_mean": (csd + ratio + symm) / 3,
        "radial_by_asymmetry": radial * symm,
        "eccentricity_by_colour_sd": ecc * csd,
        "nevus_over_age": nevi / age,
        "origin_distance": distance,
        "position_angle": math.atan2(y, x),
        "area_by_distance": area * distance,
    }


def test_every_formula(cohort_of: Callable[..., Cohort]) -> None:
    cohort = cohort_of((20,))
    numbers = [name for name in KNOWN if name in cohort.table.columns and KNOWN[name].kind == "number"]
    cohort = Cohort(cohort.table.with_columns(pl.col(numbers).abs() + 0.1), cohort.task, True)
    table = build(cohort, FeatureRecipe(families=FAMILIES))
    expected = [reference(row) for row in cohort.table.to_dicts()]
    assert set(table.names) == set(expected[0])
    for name in table.names:
        np.testing.assert_allclose(
            table.frame[name].to_numpy(), [row[name] for row in expected], rtol=2e-6, err_msg=name
        )


def test_published_columns_pass_unchanged(cohort_of: Callable[..., Cohort]) -> None:
    cohort = cohort_of((20,), missing=0.2)
    table = build(cohort, FeatureRecipe(set="simple"))
    assert len(table.names) == 34 + 6
    for feature in table.features:
        given = cohort.table[feature.name]
        if feature.kind == "number":
            given = given.cast(pl.Float32)
        assert table.frame[feature.name].equals(given, check_names=False), feature.name
    units = {feature.name: feature.unit for feature in table.features}
    assert (units["tbp_lv_areaMM2"], units["age_approx"], units["sex"]) == ("mm2", "years", "category")


@pytest.mark.parametrize(
    ("column", "feature"),
    [
        ("age_approx", "diameter_over_age"),
        ("tbp_lv_areaMM2", "perimeter_over_area"),
        ("tbp_lv_areaMM2", "perimeter_over_disc"),
        ("tbp_lv_radial_color_std_max", "colour_sd_over_radial"),
        ("tbp_lv_deltaLBnorm", "diameter_over_contrast"),
    ],
)
def test_division_by_zero_is_missing(cohort_of: Callable[..., Cohort], column: str, feature: str) -> None:
    cohort = cohort_of((6,))
    cohort = Cohort(cohort.table.with_columns(pl.lit(0.0).alias(column)), cohort.task, True)
    table = build(cohort, FeatureRecipe(families=FAMILIES))
    assert table.frame[feature].null_count() == 6


def test_a_missing_number_makes_what_it_enters_missing(cohort_of: Callable[..., Cohort]) -> None:
    cohort = cohort_of((6,))
    cohort = Cohort(cohort.table.with_columns(pl.lit(None, pl.Float64).alias("age_approx")), cohort.task, True)
    table = build(cohort, FeatureRecipe(families=FAMILIES))
    for feature in table.features:
        assert (table.frame[feature.name].null_count() == 6) == ("age" in feature.formula), feature


def test_features_of_columns_that_are_not_there_are_left_out(cohort_of: Callable[..., Cohort]) -> None:
    cohort = cohort_of((6,))
    table = build(
        Cohort(cohort.table.drop("tbp_lv_z", "age_approx"), cohort.task, True), FeatureRecipe(families=FAMILIES)
    )
    left_out = {name for name, value in reference(dict.fromkeys(KNOWN, 1.0)).items() if name not in table.names}
    assert left_out == {
        "diameter_over_age",
        "diameter_by_age",
        "diameter_with_age",
        "age_diameter_asymmetry",
        "age_area_asymmetry",
        "nevus_over_age",
        "origin_distance",
        "area_by_distance",
    }
