"""The ten columns that are published for training lesions alone: tags, diagnoses, melanoma findings and more.

Every one of them tells the answer or comes from a later examination; the test table has none.
"""

import numpy as np
import polars as pl
from scipy.special import ndtri

from data.synthetic.isic2024.facts import Floats, facts
from data.synthetic.isic2024.lesions import BENIGN, BIOPSIED, MALIGNANT, Lesions
from data.synthetic.isic2024.patients import Texts, numbered

BIOPSIED_DIAGNOSES = {
    "Benign::Benign melanocytic proliferations::Nevus": 0.40,
    "Benign::Benign melanocytic proliferations::Nevus::Nevus, Atypical, Dysplastic, or Clark": 0.18,
    "Benign::Benign epidermal proliferations::Seborrheic keratosis": 0.12,
    "Benign::Benign epidermal proliferations::Solar lentigo": 0.08,
    "Benign::Benign soft tissue proliferations - Vascular::Hemangioma": 0.05,
    "Indeterminate::Indeterminate melanocytic proliferations::Atypical intraepithelial melanocytic proliferation": 0.09,
    "Indeterminate::Indeterminate epidermal proliferations::Solar or actinic keratosis": 0.08,
}
"""What a lesion taken out may turn out to be when it is not malignant; about one in six stays indeterminate."""

MITOTIC_INDEX = {"<1/mm^2": 12, "0/mm^2": 11, ">4/mm^2": 3, "1/mm^2": 1, "2/mm^2": 1, "3/mm^2": 1, "4/mm^2": 1}
"""Text as published, with its frequency in a sample."""

SHARE_OF_INVASIVE_MEASURED = 0.82
"""Invasive melanomas with a thickness and a mitotic index."""


def diagnoses(lesions: Lesions, rng: np.random.Generator) -> pl.DataFrame:
    """The train-only columns, one row per lesion; what is not known is null."""
    count = lesions.kind.size
    full = np.full(count, "Benign", dtype=object)
    biopsied = lesions.kind == BIOPSIED
    names, weights = list(BIOPSIED_DIAGNOSES), np.array(list(BIOPSIED_DIAGNOSES.values()))
    full[biopsied] = rng.choice(names, size=int(biopsied.sum()), p=weights / weights.sum())
    malignant = np.flatnonzero(lesions.kind == MALIGNANT)
    full[malignant] = _malignant(lesions.columns["tbp_lv_deltaL"][malignant], rng)
    invasive = np.array(["Melanoma Invasive" in name for name in full])
    measured = invasive & (rng.random(count) < SHARE_OF_INVASIVE_MEASURED)
    tagged = lesions.kind != BENIGN
    frame = pl.DataFrame(
        {
            "lesion_id": _where(tagged, numbered("IL", count, 7, rng)),
            "iddx_full": pl.Series(full.tolist(), dtype=pl.String),
            "mel_mitotic_index": _where(measured, rng.choice(list(MITOTIC_INDEX), count, p=_mitotic_shares())),
            "mel_thick_mm": pl.Series(np.where(measured, _thickness(rng.random(count)), np.nan)).fill_nan(None),
            "tbp_lv_dnn_lesion_confidence": lesions.columns["tbp_lv_dnn_lesion_confidence"],
        }
    )
    part = pl.col("iddx_full").str.split("::")
    levels = [part.list.get(level, null_on_oob=True).alias(f"iddx_{level + 1}") for level in range(5)]
    return frame.with_columns(*levels)


def _where(there: np.ndarray[tuple[int], np.dtype[np.bool_]], text: Texts) -> pl.Series:
    """Texts, null where not there."""
    return pl.select(pl.when(pl.Series(there)).then(pl.Series(text.tolist(), dtype=pl.String))).to_series()


def _malignant(contrast: Floats, rng: np.random.Generator) -> list[str]:
    """Diagnoses in the published proportions; the darker lesions tend to be melanomas."""
    share = facts()["malignant_diagnoses"]
    names = np.array(list(share))
    weight = np.array(list(share.values()), dtype=np.float64)
    melanoma = np.array(["Melanoma" in name for name in names])
    darkness = -contrast + rng.normal(0.0, 3.0, contrast.size)
    rank = np.argsort(np.argsort(-darkness, kind="stable"), kind="stable")
    is_melanoma = rank < round(float(weight[melanoma].sum() / weight.sum()) * contrast.size)
    chosen = []
    for dark in is_melanoma:
        fitting = weight * (melanoma == dark)
        chosen.append(str(rng.choice(names, p=fitting / fitting.sum())))
    return chosen


def _mitotic_shares() -> Floats:
    weight: Floats = np.array(list(MITOTIC_INDEX.values()), dtype=np.float64)
    return weight / float(weight.sum())


def _thickness(level: Floats) -> Floats:
    """Tumour thickness in mm at a quantile level, to the published 0.1 mm."""
    scores = ndtri(np.array([0.01, 0.05, 0.25, 0.50, 0.75, 0.95, 0.99]))
    return np.asarray(np.interp(ndtri(level), scores, facts()["mel_thick_mm"]), dtype=np.float64).round(1)
