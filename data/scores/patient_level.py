"""From lesions to patients: one probability per patient out of those of several lesions, and scores of patients.

A patient counts as positive when any lesion is. Lesions without a probability are left out; a patient with none left
has none. Numpy only; which columns are judged this way is said elsewhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from data.scores.scores import all_scores

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

Aggregation = Literal["mean", "max", "noisy_or"]


@dataclass(frozen=True)
class Patients:
    """One row per patient, in the order of their names."""

    name: npt.NDArray[Any]
    probability: Floats
    """NaN for a patient none of whose lesions has one."""
    target: Ints
    """1 when any lesion is positive, with or without a probability."""
    lesions: Ints
    """Lesions that gave the probability."""


def _mean(probability: Floats, code: Ints, count: Ints) -> Floats:
    return np.bincount(code, probability, len(count)) / np.maximum(count, 1)


def _max(probability: Floats, code: Ints, count: Ints) -> Floats:
    highest = np.zeros(len(count))
    np.maximum.at(highest, code, probability)
    return highest


def _noisy_or(probability: Floats, code: Ints, count: Ints) -> Floats:
    # In logarithms: a product over hundreds of lesions loses the digits in which patients differ.
    with np.errstate(divide="ignore"):
        none_positive = np.bincount(code, np.log1p(-probability), len(count))
    return -np.expm1(none_positive)


AGGREGATIONS: dict[Aggregation, Callable[[Floats, Ints, Ints], Floats]] = {
    "mean": _mean,
    "max": _max,
    "noisy_or": _noisy_or,
}
"""`mean`: average of the lesions. `max`: the most suspicious one. `noisy_or`: 1 - prod(1 - p), the probability that at
least one is positive if they were independent; it grows with the number of lesions."""


def by_patient(target: npt.ArrayLike, probability: npt.ArrayLike, groups: npt.ArrayLike, how: Aggregation) -> Patients:
    """Put the lesions of each patient together; all three are one entry per lesion, the target 0 or 1."""
    y, p, g = np.asarray(target), np.asarray(probability, dtype=np.float64), np.asarray(groups)
    if y.ndim != 1 or y.shape != p.shape or y.shape != g.shape:
        raise ValueError(f"target {y.shape}, probability {p.shape} and groups {g.shape} must be one entry per lesion")
    if not np.isin(y, (0, 1)).all():
        raise ValueError("targets must be 0 or 1: patients are judged for two classes")
    known = ~np.isnan(p)
    if np.any((p[known] < 0) | (p[known] > 1)):
        raise ValueError("probabilities must lie between 0 and 1")
    name, code = np.unique(g, return_inverse=True)
    count = np.bincount(code[known], minlength=len(name)).astype(np.int64)
    together = AGGREGATIONS[how](p[known], code[known], count)
    return Patients(
        name=name,
        probability=np.where(count > 0, together, np.nan),
        target=(np.bincount(code, y, len(name)) > 0).astype(np.int64),
        lesions=count,
    )


def patient_scores(
    target: npt.ArrayLike, probability: npt.ArrayLike, groups: npt.ArrayLike, how: Aggregation
) -> dict[str, float]:
    """Every binary score over patients; those without a probability are left out."""
    patients = by_patient(target, probability, groups, how)
    known = ~np.isnan(patients.probability)
    return all_scores(patients.target[known], patients.probability[known])


def class_scores_by_group(
    target: npt.ArrayLike, probability: npt.ArrayLike, groups: npt.ArrayLike, how: Literal["mean", "max"]
) -> dict[str, float] | None:
    """Scores of several classes over groups (lesions with several images); None where a group has two answers.

    The highest of each class does not sum to 1, so it is made to.
    """
    y, p = np.asarray(target), np.asarray(probability, dtype=np.float64)
    name, code = np.unique(np.asarray(groups), return_inverse=True)
    answer = np.zeros(len(name), dtype=np.int64)
    answer[code] = y
    if (answer[code] != y).any():
        return None
    count = np.bincount(code, minlength=len(name)).astype(np.int64)
    together = np.column_stack([AGGREGATIONS[how](column, code, count) for column in p.T])
    return all_scores(answer, together / together.sum(axis=1, keepdims=True))
