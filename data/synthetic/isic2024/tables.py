"""The published tables of a synthetic cohort: columns in Kaggle's order, missing values left out, rows in order of id.

Numbers are float32, written with the fewest digits that give the same float32 again.
"""

import numpy as np
import polars as pl

from data.schemas.isic2024 import SCHEMA, TEST_SCHEMA
from data.synthetic.isic2024.diagnoses import diagnoses
from data.synthetic.isic2024.facts import facts
from data.synthetic.isic2024.lesions import MALIGNANT, Lesions, simple_location
from data.synthetic.isic2024.patients import UNSEEN_ATTRIBUTION, Patients, Texts

TRAIN_COLUMNS = tuple(column.name for column in SCHEMA)
TEST_COLUMNS = tuple(column.name for column in TEST_SCHEMA)


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
