"""Features as competition entries make them in polars: one lazy query of expressions over the patient.

Code of our own in the manner of such entries: 41 derived columns, z-scores of every number by patient, counts and sums,
about 130 features in single precision. The rival of `stage_two_features` beside the pandas way.
"""

from pathlib import Path

import polars as pl

from features.columns import KNOWN, PATIENT_CONSTANT

EPSILON = 1e-5


def features(path: Path) -> pl.DataFrame:
    """Read the table and make the features."""
    frame = pl.scan_csv(path, null_values=["", "NA"], infer_schema_length=None)
    present = frame.collect_schema().names()
    numbers = [name for name, column in KNOWN.items() if column.kind == "number" and name in present]
    derived = lesion_columns()
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


def lesion_columns() -> dict[str, pl.Expr]:
    """Numbers of one lesion alone."""
    t = {name.removeprefix("tbp_lv_"): pl.col(name) for name in KNOWN}
    diameter, age, symmetry = t["clin_size_long_diam_mm"], t["age_approx"], t["symm_2axis"]
    border, colour = t["norm_border"], t["norm_color"]
    square = t["deltaA"] ** 2 + t["deltaB"] ** 2 + t["deltaL"] ** 2
    return {
        "minor_over_diameter": t["minorAxisMM"] / diameter,
        "shape_index": t["areaMM2"] / t["perimeterMM"] ** 2,
        "hue_contrast": (t["H"] - t["Hext"]).abs(),
        "lightness_contrast": (t["L"] - t["Lext"]).abs(),
        "colour_distance": square.sqrt(),
        "border_and_asymmetry": border + symmetry,
        "border_by_colour": border * colour,
        "border_colour_harmonic": 2 * border * colour / (border + colour),
        "origin_distance": (t["x"] ** 2 + t["y"] ** 2 + t["z"] ** 2).sqrt(),
        "perimeter_over_area": t["perimeterMM"] / t["areaMM2"],
        "area_over_perimeter": t["areaMM2"] / t["perimeterMM"],
        "log_area": (t["areaMM2"] + 1).log(),
        "diameter_over_age": diameter / age,
        "diameter_by_age": diameter * age,
        "diameter_with_age": (diameter**2 + age**2).sqrt(),
        "hue_mean": (t["H"] + t["Hext"]) / 2,
        "delta_mean": (t["deltaA"] + t["deltaB"] + t["deltaL"]) / 3,
        "delta_sum": t["deltaA"] + t["deltaB"] + t["deltaL"] + t["deltaLBnorm"],
        "delta_absolute": t["deltaL"].abs() + t["deltaA"].abs() + t["deltaB"].abs(),
        "colour_sd_over_radial": t["color_std_mean"] / t["radial_color_std_max"],
        "colour_sd_over_skin": t["color_std_mean"] / t["stdLExt"],
        "lightness_sd_over_skin_lightness": t["stdL"] / t["Lext"],
        "hue_by_colour_sd": t["H"] * t["color_std_mean"],
        "diameter_over_contrast": diameter / t["deltaLBnorm"],
        "contrast_and_variation": t["deltaLBnorm"] + colour,
        "outline_mean": (t["area_perim_ratio"] + t["eccentricity"] + colour + symmetry) / 4,
        "radial_by_asymmetry": t["radial_color_std_max"] * symmetry,
        "eccentricity_by_colour_sd": t["eccentricity"] * t["color_std_mean"],
        "nevus_over_age": t["nevi_confidence"] / age,
        "position_angle": pl.arctan2(t["y"], t["x"]),
        "area_by_distance": t["areaMM2"] * (t["x"] ** 2 + t["y"] ** 2 + t["z"] ** 2).sqrt(),
        "asymmetry_by_perimeter": symmetry * t["perimeterMM"],
        "age_diameter_asymmetry": age * diameter * symmetry,
    }
