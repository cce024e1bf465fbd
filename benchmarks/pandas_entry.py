"""The columns of one lesion alone, as one writes them in a notebook with pandas."""

import numpy as np
import pandas as pd

from features.columns import KNOWN


def lesion_features(f: pd.DataFrame) -> dict[str, pd.Series]:
    """The features of one lesion alone, column arithmetic in pandas."""
    t = {name.removeprefix("tbp_lv_"): f[name] for name in KNOWN if name in f}
    age, d, area, p, symm = (
        t["age_approx"],
        t["clin_size_long_diam_mm"],
        t["areaMM2"],
        t["perimeterMM"],
        t["symm_2axis"],
    )
    border, colour, ecc, csd = t["norm_border"], t["norm_color"], t["eccentricity"], t["color_std_mean"]
    square = t["deltaA"] ** 2 + t["deltaB"] ** 2 + t["deltaL"] ** 2
    distance = np.sqrt(t["x"] ** 2 + t["y"] ** 2 + t["z"] ** 2)
    made = {
        "minor_over_diameter": t["minorAxisMM"] / d,
        "shape_index": area / p**2,
        "perimeter_over_area": p / area,
        "area_over_perimeter": area / p,
        "log_area": np.log(area + 1),
        "diameter_over_age": d / age,
        "diameter_by_age": d * age,
        "diameter_with_age": np.sqrt(d**2 + age**2),
        "perimeter_over_disc": p / (2 * np.pi * np.sqrt(area / np.pi)),
        "asymmetry_by_perimeter": symm * p,
        "age_diameter_asymmetry": age * d * symm,
        "age_area_asymmetry": age * area * symm,
        "hue_contrast": (t["H"] - t["Hext"]).abs(),
        "lightness_contrast": (t["L"] - t["Lext"]).abs(),
        "colour_distance": np.sqrt(square),
        "colour_distance_mean": np.sqrt(square / 3),
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
        "position_angle": np.arctan2(t["y"], t["x"]),
        "area_by_distance": area * distance,
    }
    return {name: values.replace([np.inf, -np.inf], np.nan) for name, values in made.items()}
