"""A score on many draws of patients, without a loop over lesions.

Drawing patients with replacement gives each lesion the whole weight "how often its patient was drawn". What a score
needs of the lesions is, for most scores, a small table of sums by patient; then all replicates are one product of
(replicates x patients) by (patients x sums), exact up to rounding. Drawing itself is in `intervals.py`. Numpy only.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from data.scores.calibration import squared_error_of_rows, surprise_of_rows
from data.scores.multiclass import checked_multiclass
from data.scores.nnt import looked_at_per_found
from data.scores.ranking import (
    MIN_TPR,
    Floats,
    Ints,
    UndefinedScoreError,
    Values,
    area_above,
    checked_binary,
    precision_over_recall,
    require_both_classes,
    steps_of,
)
from data.scores.scores import PATIENT_SCORES, SCORES
from data.scores.top_k import found_by_patient

Targets = npt.NDArray[np.bool_] | Ints
Scorer = Callable[[Ints], Floats]
"""From how often each patient was drawn (replicates, patients) to the score by replicate, NaN where undefined."""
Scorers = Callable[[Ints], dict[str, Floats]]
"""The same for several scores, by name."""

PRODUCT_CELLS = 4_000_000
"""Up to this size (32 MB) a table of lesions by patient and slot is multiplied; beyond it, rows are summed."""
RANKINGS: dict[str, Callable[[Floats, Floats, Floats], Floats]] = {
    "pauc": lambda at, within, n_negative: area_above(at, within, n_negative, 1.0 - MIN_TPR),
    "auc": lambda at, within, n_negative: area_above(at, within, n_negative, 1.0),
    "average_precision": precision_over_recall,
    "nnt_80": lambda at, within, n_negative: looked_at_per_found(at, within, n_negative, 0.8),
    "nnt_90": lambda at, within, n_negative: looked_at_per_found(at, within, n_negative, 0.9),
}
"""Scores that need no more than the counts of lesions between the positives."""
MEANS: dict[str, Callable[[Values, Values], Floats]] = {
    "brier": squared_error_of_rows,
    "log_loss": surprise_of_rows,
}
"""Scores that are a mean over lesions."""
DECISIONS = (
    "accuracy", "balanced_accuracy", "sensitivity", "specificity", "f1", "macro_f1", "precision", "macro_recall",
)  # fmt: skip
"""Scores that need no more than the class each lesion is called."""


def scorers_of(scores: Sequence[str], target: Values, probability: Values, group_code: Ints) -> Scorers:
    """Check the sample and return what scores a draw; `group_code` numbers the patients from 0."""
    for score in scores:
        if score not in SCORES and score not in PATIENT_SCORES:
            raise ValueError(f"there is no score {score!r}; there are {', '.join([*SCORES, *PATIENT_SCORES])}")
    y, p = _checked(target, probability)
    if group_code.shape != y.shape:
        raise ValueError(f"{group_code.size} groups for {y.size} rows")
    rankings = [score for score in scores if score in RANKINGS and p.ndim == 1]
    of_rankings = _ranking_scorers(rankings, y == 1, p, group_code) if rankings else None
    alone = {score: _scorer_of(score, y, p, group_code) for score in scores if score not in rankings}

    def score_draws(times: Ints) -> dict[str, Floats]:
        found = of_rankings(times) if of_rankings else {}
        return {score: found[score] if score in found else alone[score](times) for score in scores}

    return score_draws


def _scorer_of(score: str, y: Targets, p: Floats, group_code: Ints) -> Scorer:
    if score in PATIENT_SCORES:
        return _patient_scorer(y, p, group_code)
    if score in MEANS:
        return _mean_scorer(MEANS[score](y, p), group_code)
    if score in DECISIONS:
        return _weighted_scorer(score, *_merged(y, p, group_code))
    return _weighted_scorer(score, y, p, group_code, np.ones(len(y), dtype=np.int64))


def _checked(target: Values, probability: Values) -> tuple[Targets, Floats]:
    if np.ndim(probability) == 2:
        many = checked_multiclass(target, probability)
        return many.target, many.probability
    two = checked_binary(target, probability)
    return two.positive, two.probability


def _ranking_scorers(
    scores: Sequence[str], positive: npt.NDArray[np.bool_], probability: Floats, group_code: Ints
) -> Scorers:
    require_both_classes(checked_binary(positive, probability))
    steps = steps_of(positive, probability)
    n_groups, m = int(group_code.max()) + 1, steps.levels.size
    of_positives = _sums_by_slot(group_code[positive], steps.positive_level, n_groups, m)
    of_negatives = _sums_by_slot(group_code[~positive], steps.negative_slot, n_groups, 2 * m)
    negatives_of_group = np.bincount(group_code[~positive], minlength=n_groups).astype(np.float64)

    def score_draws(times: Ints) -> dict[str, Floats]:
        at, n_negative = of_positives(times), times @ negatives_of_group
        valid = (at.sum(axis=1) > 0) & (n_negative > 0)
        counts = at[valid], of_negatives(times[valid]), n_negative[valid]
        found = {score: np.full(len(times), np.nan) for score in scores}
        for score, values in found.items():
            values[valid] = RANKINGS[score](*counts)
        return found

    return score_draws


def _sums_by_slot(group_code: Ints, slot: Ints, n_groups: int, n_slots: int) -> Scorer:
    """Return the function from draws to the number of lesions in each of the first `n_slots` slots."""
    kept = slot < n_slots
    group_code, slot = group_code[kept], slot[kept]
    if n_groups * n_slots <= PRODUCT_CELLS:
        table = np.bincount(group_code * n_slots + slot, minlength=n_groups * n_slots)
        lesions = table.reshape(n_groups, n_slots).astype(np.float64)
        # Floats, because only they multiply fast; whole numbers below 2^53 stay exact in any order of summing.
        return lambda times: times.astype(np.float64) @ lesions
    order = np.argsort(slot, kind="stable")
    by_slot = group_code[order]
    filled, start = np.unique(slot[order], return_index=True)

    def sum_draws(times: Ints) -> Floats:
        total = np.zeros((len(times), n_slots))
        for replicate, row in enumerate(times):
            total[replicate, filled] = np.add.reduceat(row[by_slot], start)
        return total

    return sum_draws


def _patient_scorer(target: Targets, probability: Floats, group_code: Ints) -> Scorer:
    found, counts, _ = found_by_patient(target, probability, group_code)

    def score_draws(times: Ints) -> Floats:
        patients = times @ counts
        share: Floats = np.divide(times @ found, patients, out=np.full(len(times), np.nan), where=patients > 0)
        return share

    return score_draws


def _mean_scorer(loss: Floats, group_code: Ints) -> Scorer:
    loss_of_group, rows_of_group = np.bincount(group_code, loss), np.bincount(group_code).astype(np.float64)
    return lambda times: (times @ loss_of_group) / (times @ rows_of_group)


def _merged(target: Targets, probability: Floats, group_code: Ints) -> tuple[Targets, Floats, Ints, Ints]:
    """Merge the rows of a patient that have the same class and are called the same, with their number."""
    if probability.ndim == 2:
        n, called = probability.shape[1], probability.argmax(axis=1)
    else:
        n, called = 2, (probability >= 0.5).astype(np.int64)
    alike, number = np.unique((group_code * n + target) * n + called, return_counts=True)
    certain = np.eye(n)[alike % n]
    return (
        alike // n % n,
        certain if probability.ndim == 2 else certain[:, 1],
        alike // (n * n),
        number.astype(np.int64),
    )


def _weighted_scorer(score: str, target: Targets, probability: Floats, group_code: Ints, number: Ints) -> Scorer:
    """Any score, by its own function with weights: one call for each replicate."""

    def score_draw(weight: Ints) -> float:
        try:
            return SCORES[score](target, probability, weight=weight)
        except UndefinedScoreError:
            return float("nan")

    return lambda times: np.array([score_draw(row[group_code] * number) for row in times])
