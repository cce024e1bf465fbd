"""Lesions in standard deviations of their patient, made once for the families that need them.

What is kept between families (`Source.kept`) is what they would compute themselves, bit for bit; who needs it last
forgets it.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from features.families.family import Settings
from features.groups import z_scores
from features.source import PATIENT, Made, Source

Float32 = npt.NDArray[np.float32]
Z, POINTS = "patient z", "points"
"""Keys of what is kept."""


def keep_patient_z(source: Source, columns: Sequence[str], made: Sequence[Made]) -> None:
    """Keep the z-scores of published columns, the first of a family."""
    values = [one.value for one in made[: len(columns)]]
    source.kept[Z] = {
        name: value.to_numpy() for name, value in zip(columns, values, strict=True) if isinstance(value, pl.Series)
    }


def patient_z_scores(source: Source, columns: Sequence[str], epsilon: float) -> list[Float32]:
    """z-scores among the patient's lesions, those that were kept as they are."""
    kept = source.kept.get(Z, {})
    missing = [name for name in columns if name not in kept]
    made = dict(zip(missing, z_scores(source.frame, missing, PATIENT, epsilon), strict=True)) if missing else {}
    return [kept[name] if name in kept else made[name] for name in columns]


def space(source: Source, settings: Settings) -> list[str]:
    """The outlier columns that the data have."""
    return [name for name in settings.outlier_columns if name in source.numbers]


def standardised(source: Source, settings: Settings) -> Float32:
    """(lesions, outlier columns) in the patient's standard deviations; a gap takes the patient's median, or 0."""
    if POINTS in source.kept:
        found: Float32 = source.kept.pop(POINTS)
        return found
    columns, frame = space(source, settings), source.frame
    whole = [name for name in columns if not frame[name].null_count()]
    gaps = [name for name in columns if name not in whole]
    scores = dict(zip(whole, patient_z_scores(source, whole, settings.epsilon), strict=True))
    filled = frame.select(
        PATIENT, *(pl.col(name).fill_null(pl.col(name).median().over(PATIENT)).fill_null(0.0) for name in gaps)
    )
    scores |= dict(zip(gaps, z_scores(filled, gaps, PATIENT, settings.epsilon), strict=True))
    points = np.empty((len(frame), len(columns)), np.float32)
    for place, name in enumerate(columns):
        points[:, place] = scores[name]
    source.kept.pop(Z, None)
    source.kept[POINTS] = points
    return points


def patient_sizes(frame: pl.DataFrame) -> list[int]:
    """Lesions per patient, in the order of the frame."""
    return frame[PATIENT].rle().struct.field("len").to_list()
