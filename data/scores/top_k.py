"""SEtop-15: how many malignant lesions are found when each patient's 15 highest-scoring lesions are looked at.

Each patient with malignant lesions has the same weight: a malignant lesion counts 1 / the malignant lesions of its
patient. Where lesions of one score compete for the last places, the value is what a random order of them would find on
average: with two places left for four tied lesions, a malignant one among them counts one half. Numpy only.
"""

import numpy as np

from data.scores.ranking import Floats, Ints, UndefinedScoreError, Values, checked_binary

TOP = 15
"""Lesions that are looked at of each patient."""


def chance_of_a_place(probability: Floats, patient: Ints, top: int = TOP) -> Floats:
    """For each lesion, how probable it is to be among the `top` of its patient when ties are broken at random."""
    order = np.lexsort((-probability, patient))
    of_patient, score = patient[order], probability[order]
    row = np.arange(len(order))
    new_patient = np.append(True, of_patient[1:] != of_patient[:-1])[: len(order)]
    new_score = new_patient | np.append(True, score[1:] != score[:-1])[: len(order)]
    ahead = row[new_score] - row[new_patient][np.cumsum(new_patient)[new_score] - 1]
    tied = np.diff(np.append(row[new_score], len(order)))
    chance = np.clip((top - ahead) / tied, 0.0, 1.0)
    result = np.empty(len(order))
    result[order] = np.repeat(chance, tied)
    return result


def found_by_patient(
    target: Values, probability: Values, groups: Values, top: int = TOP
) -> tuple[Floats, Floats, Ints]:
    """Share found of each patient (0 without malignant lesions), whether it counts (1 or 0), and each row's patient."""
    sample = checked_binary(target, probability)
    _, patient = np.unique(np.asarray(groups), return_inverse=True)
    if patient.shape != sample.positive.shape:
        raise ValueError(f"{patient.size} groups for {sample.positive.size} rows")
    patient = patient.astype(np.int64)
    chance = chance_of_a_place(sample.probability, patient, top)
    count = int(patient.max()) + 1 if patient.size else 0
    positives = np.bincount(patient[sample.positive], minlength=count)
    found = np.bincount(patient[sample.positive], chance[sample.positive], minlength=count)
    return found / np.maximum(positives, 1), (positives > 0).astype(np.float64), patient


def found_among_top(target: Values, probability: Values, groups: Values, top: int = TOP) -> float:
    """Mean over patients with malignant lesions of the share of these that is among the patient's `top`.

    >>> found_among_top([1, 0, 0, 1], [0.3, 0.3, 0.1, 0.2], ["a", "a", "a", "b"], top=1)
    0.75
    """
    found, counts, _ = found_by_patient(target, probability, groups, top)
    if not counts.any():
        raise UndefinedScoreError("the score is a share of malignant lesions, and there are none")
    return float(found.sum() / counts.sum())
