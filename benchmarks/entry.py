"""Features as competition entries make them, code of our own: the rivals of `stage_two_features`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from features.columns import KNOWN, PATIENT_CONSTANT

EPSILON = 1e-5


def in_pandas(frame: pd.DataFrame) -> dict[str, pd.Series]:
    """The columns of one lesion alone, as one writes them in a notebook."""
    known = {name: frame[name] for name in KNOWN if name in frame}
    made = lesion_columns(known, np.sqrt, np.log, np.arctan2)
    return {name: values.replace([np.inf, -np.inf], np.nan) for name, values in made.items()}


def in_polars(path: Path) -> pl.DataFrame:
    """Read the table and make the features: one lazy query of expressions over the patient, in single precision.

    The columns of one lesion, z-scores of every number by patient, counts and sums: some 155 features.
    """
    frame = pl.scan_csv(path, null_values=["", "NA"], infer_schema_length=None)
    present = frame.collect_schema().names()
    numbers = [name for name, column in KNOWN.items() if column.kind == "number" and name in present]
    derived = lesion_columns({name: pl.col(name) for name in KNOWN}, pl.Expr.sqrt, pl.Expr.log, pl.arctan2)
    compared = [name for name in (*numbers, *derived) if name not in PATIENT_CONSTANT]
    patient = "patient_id"
    return (
        frame.with_columns(pl.col(numbers).cast(pl.Float64))
        .with_columns(value.alias(name) for name, value in derived.items())
        .with_columns(
            ((pl.col(name) - pl.col(name).mean().over(patient)) / (pl.col(name).std().over(patient) + EPSILON)).alias(
                f"{name}_patient_z"
            )
            for name in compared
        )
        .with_columns(
            pl.len().over(patient).alias("patient_lesions"),
            pl.len().over(patient, "anatom_site_general").alias("site_lesions"),
            pl.len().over(patient, "tbp_lv_location").alias("location_lesions"),
            pl.col("tbp_lv_areaMM2").sum().over(patient).alias("patient_area"),
        )
        .select(
            pl.col([*numbers, *derived, *(f"{name}_patient_z" for name in compared)]).cast(pl.Float32),
            "patient_lesions",
            "site_lesions",
            "location_lesions",
            "patient_area",
        )
        .collect()
    )


def lesion_columns(
    columns: Mapping[str, Any], sqrt: Callable[..., Any], log: Callable[..., Any], arctan2: Callable[..., Any]
) -> dict[str, Any]:
    """Numbers of one lesion alone, by either library's columns and functions."""
    t = {name.removeprefix("tbp_lv_"): column for name, column in columns.items()}
    age, d, area, p, symm = (
        t["age_approx"],
        t["clin_size_long_diam_mm"],
        t["areaMM2"],
        t["perimeterMM"],
        t["symm_2axis"],
    )
    border, colour, ecc, csd = t["norm_border"], t["norm_color"], t["eccentricity"], t["color_std_mean"]
    square = t["deltaA"] ** 2 + t["deltaB"] ** 2 + t["deltaL"] ** 2
    distance = sqrt(t["x"] ** 2 + t["y"] ** 2 + t["z"] ** 2)
    return {
        "minor_over_diameter": t["minorAxisMM"] / d,
        "shape_index": area / p**2,
        "perimeter_over_area": p / area,
        "area_over_perimeter": area / p,
        "log_area": log(area + 1),
        "diameter_over_age": d / age,
        "diameter_by_age": d * age,
        "diameter_with_age": sqrt(d**2 + age**2),
        "perimeter_over_disc": p / (2 * np.pi * sqrt(area / np.pi)),
        "asymmetry_by_perimeter": symm * p,
        "age_diameter_asymmetry": age * d * symm,
        "age_area_asymmetry": age * area * symm,
        "hue_contrast": (t["H"] - t["Hext"]).abs(),
        "lightness_contrast": (t["L"] - t["Lext"]).abs(),
        "colour_distance": sqrt(square),
        "colour_distance_mean": sqrt(square / 3),
        "delta_mean": (t["deltaA"] + t["deltaB"] + t["deltaL"]) / 3,
        "delta_sum": t["deltaA"] + t["deltaB"] + t["deltaL"] + t["deltaLBnorm"],
        "delta_absolute": t["deltaL"].abs() + t["deltaA"].abs() + t["deltaB"].abs(),
        "colour_sd_over_radial": csd / t["radial_color_std_max"],
        "colour_sd_over_skin": csd / t["stdLExt"],
        "lightness_sd_over_skin_lightness": t["stdL"] / t["Lext"],
        "lightness_sd_with_skin_lightness": t["stdL"] * t["Lext"] / (t["stdL"] + t["Lext"]),
        "hue_mean": (t["H"] + t["Hext"]) / 2,
        "hue_by_colour_sd": t["H"] * csd,
        "diameter_over_contrast": d / t["deltaLBnorm"],
        "contrast_and_variation": t["deltaLBnorm"] + colour,
        "border_and_asymmetry": border + symm,
        "border_asymmetry_shape": border + symm + area / p**2,
        "border_by_asymmetry": border * symm,
        "border_asymmetry_harmonic": 2 * border * symm / (border + symm),
        "border_by_colour": border * colour,
        "border_colour_harmonic": 2 * border * colour / (border + colour),
        "border_colour_eccentricity_mean": (border + colour + ecc) / 3,
        "outline_mean": (t["area_perim_ratio"] + ecc + colour + symm) / 4,
        "variegation_outline_mean": (csd + t["area_perim_ratio"] + symm) / 3,
        "radial_by_asymmetry": t["radial_color_std_max"] * symm,
        "eccentricity_by_colour_sd": ecc * csd,
        "nevus_over_age": t["nevi_confidence"] / age,
        "origin_distance": distance,
        "position_angle": arctan2(t["y"], t["x"]),
        "area_by_distance": area * distance,
    }
