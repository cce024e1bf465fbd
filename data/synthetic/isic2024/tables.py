"""The published tables of a synthetic cohort: columns in Kaggle's order, missing values left out, rows in order of id.

Numbers are float32, written with the fewest digits that give the same float32 again.
"""

import numpy as np
import polars as pl

from data.synthetic.isic2024.diagnoses import diagnoses
from data.synthetic.isic2024.facts import facts
from data.synthetic.isic2024.lesions import MALIGNANT, Lesions, simple_location
from data.synthetic.isic2024.patients import UNSEEN_ATTRIBUTION, Patients, Texts

TEST_COLUMNS: tuple[str, ...] = (
    "isic_id",
    "patient_id",
    "age_approx",
    "sex",
    "anatom_site_general",
    "clin_size_long_diam_mm",
    "image_type",
    "tbp_tile_type",
    *(f"tbp_lv_{name}" for name in ("A", "Aext", "B", "Bext", "C", "Cext", "H", "Hext", "L", "Lext")),
    *(f"tbp_lv_{name}" for name in ("areaMM2", "area_perim_ratio", "color_std_mean", "deltaA", "deltaB", "deltaL")),
    *(f"tbp_lv_{name}" for name in ("deltaLB", "deltaLBnorm", "eccentricity", "location", "location_simple")),
    *(f"tbp_lv_{name}" for name in ("minorAxisMM", "nevi_confidence", "norm_border", "norm_color", "perimeterMM")),
    *(f"tbp_lv_{name}" for name in ("radial_color_std_max", "stdL", "stdLExt", "symm_2axis", "symm_2axis_angle")),
    *(f"tbp_lv_{name}" for name in ("x", "y", "z")),
    "attribution",
    "copyright_license",
)

TRAIN_ONLY_COLUMNS: tuple[str, ...] = (
    "lesion_id",
    "iddx_full",
    *(f"iddx_{level}" for level in range(1, 6)),
    "mel_mitotic_index",
    "mel_thick_mm",
    "tbp_lv_dnn_lesion_confidence",
)

TRAIN_COLUMNS: tuple[str, ...] = ("isic_id", "target", *TEST_COLUMNS[1:], *TRAIN_ONLY_COLUMNS)


def full_table(patients: Patients, lesions: Lesions, ids: Texts, rng: np.random.Generator) -> pl.DataFrame:
    """Every published column of every lesion, in the order of the lesions given, not yet in that of the ids."""
    places = facts()["locations"]
    origins = [(place["attribution"], place["licence"]) for place in facts()["attributions"]] + [UNSEEN_ATTRIBUTION]
    row = patients.of_lesion
    origin = patients.attribution[row]
    of_location = pl.DataFrame(
        {
            "anatom_site_general": [place["site"] for place in places],
            "tbp_lv_location": [place["location"] for place in places],
            "tbp_lv_location_simple": [simple_location(place["location"]) for place in places],
        }
    )[lesions.location]
    of_origin = pl.DataFrame(origins, schema=["attribution", "copyright_license"], orient="row")[origin]
    of_patient = pl.DataFrame(
        {
            "patient_id": patients.ids.tolist(),
            "age_approx": pl.Series(patients.age, dtype=pl.Float32).fill_nan(None),
            "sex": pl.Series(patients.sex.tolist(), dtype=pl.String).replace("", None),
            "tbp_tile_type": np.where(patients.cross_polarised, "3D: XP", "3D: white").tolist(),
        }
    )[row]
    measured = pl.DataFrame(lesions.columns).drop("tbp_lv_dnn_lesion_confidence").cast(pl.Float32)
    table = pl.concat(
        [
            pl.DataFrame({"isic_id": ids.tolist(), "target": (lesions.kind == MALIGNANT).astype(np.int64)}),
            of_patient,
            of_location,
            of_origin,
            measured.with_columns(pl.col("tbp_lv_symm_2axis_angle").cast(pl.Int64)),
            diagnoses(lesions, rng).with_columns(
                pl.col("mel_thick_mm", "tbp_lv_dnn_lesion_confidence").cast(pl.Float32)
            ),
        ],
        how="horizontal",
    )
    return table.with_columns(pl.lit("TBP tile: close-up").alias("image_type")).select(TRAIN_COLUMNS)
