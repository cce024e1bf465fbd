"""Every score by name: one registry for binary and multi-class tasks, and the scores of a decision threshold.

A stage asks `all_scores(target, probability, groups)`; a report asks `SCORES["auc"]`. Ranking scores live in
`ranking.py` and `nnt.py`, multi-class forms in `multiclass.py`, calibration in `calibration.py`, scores that need to
know whose a lesion is in `top_k.py`, intervals in `intervals.py`. Numpy only.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Protocol

import numpy as np

from data.scores import multiclass
from data.scores.calibration import brier, calibration_error, log_loss
from data.scores.multiclass import confusion_matrix
from data.scores.nnt import number_needed
from data.scores.ranking import (
    Floats,
    UndefinedScoreError,
    Values,
    auc,
    average_precision,
    checked_binary,
    pauc,
    roc_points,
    specificity_at_sensitivity,
    threshold_at_sensitivity,
)
from data.scores.top_k import found_among_top

__all__ = [
    "PATIENT_SCORES",
    "SCORES",
    "PatientScore",
    "Score",
    "UndefinedScoreError",
    "accuracy",
    "all_scores",
    "auc",
    "average_precision",
    "balanced_accuracy",
    "brier",
    "calibration_error",
    "confusion_at",
    "confusion_matrix",
    "f1",
    "log_loss",
    "macro_f1",
    "pauc",
    "precision",
    "roc_points",
    "score_of",
    "sensitivity",
    "specificity",
    "specificity_at_sensitivity",
    "threshold_at_sensitivity",
]


@dataclass(frozen=True)
class Decisions:
    """Weights of right and wrong calls when every lesion at or above a threshold is called positive."""

    true_positive: float
    false_positive: float
    false_negative: float
    true_negative: float


def decisions(
    target: Values, probability: Values, *, threshold: float = 0.5, weight: Values | None = None
) -> Decisions:
    """Count the four outcomes at `threshold`."""
    sample = checked_binary(target, probability, weight)
    called = sample.probability >= threshold
    outcome = np.bincount(2 * sample.positive + called, sample.weight, minlength=4)
    return Decisions(*(float(outcome[code]) for code in (3, 1, 2, 0)))


def confusion_at(target: Values, probability: Values, threshold: float, *, weight: Values | None = None) -> Floats:
    """The four outcomes laid out as `confusion_matrix` does: true class in rows, called class in columns."""
    d = decisions(target, probability, threshold=threshold, weight=weight)
    return np.array([[d.true_negative, d.false_positive], [d.false_negative, d.true_positive]])


def _refuse_none(count: float, of_what: str) -> None:
    if count <= 0.0:
        raise UndefinedScoreError(f"the score is a share of {of_what}, and there are none")


def _share(part: float, whole: float, of_what: str) -> float:
    _refuse_none(whole, of_what)
    return part / whole


def accuracy(target: Values, probability: Values, *, threshold: float = 0.5, weight: Values | None = None) -> float:
    """Share of right calls. With 0.1 % positives, calling all benign scores 0.999."""
    d = decisions(target, probability, threshold=threshold, weight=weight)
    right = d.true_positive + d.true_negative
    return _share(right, right + d.false_positive + d.false_negative, "rows")


def sensitivity(target: Values, probability: Values, *, threshold: float = 0.5, weight: Values | None = None) -> float:
    """Share of positives called positive."""
    d = decisions(target, probability, threshold=threshold, weight=weight)
    return _share(d.true_positive, d.true_positive + d.false_negative, "positives")


def specificity(target: Values, probability: Values, *, threshold: float = 0.5, weight: Values | None = None) -> float:
    """Share of negatives called negative."""
    d = decisions(target, probability, threshold=threshold, weight=weight)
    return _share(d.true_negative, d.true_negative + d.false_positive, "negatives")


def precision(target: Values, probability: Values, *, threshold: float = 0.5, weight: Values | None = None) -> float:
    """Share of positive calls that are right."""
    d = decisions(target, probability, threshold=threshold, weight=weight)
    return _share(d.true_positive, d.true_positive + d.false_positive, "positive calls")


def balanced_accuracy(
    target: Values, probability: Values, *, threshold: float = 0.5, weight: Values | None = None
) -> float:
    """Mean of sensitivity and specificity."""
    d = decisions(target, probability, threshold=threshold, weight=weight)
    of_positives = _share(d.true_positive, d.true_positive + d.false_negative, "positives")
    return (of_positives + _share(d.true_negative, d.true_negative + d.false_positive, "negatives")) / 2


def f1(target: Values, probability: Values, *, threshold: float = 0.5, weight: Values | None = None) -> float:
    """Harmonic mean of precision and sensitivity."""
    d = decisions(target, probability, threshold=threshold, weight=weight)
    calls_and_positives = 2 * d.true_positive + d.false_positive + d.false_negative
    return _share(2 * d.true_positive, calls_and_positives, "positives and positive calls")


def macro_f1(target: Values, probability: Values, *, threshold: float = 0.5, weight: Values | None = None) -> float:
    """Mean of the F1 of the positives and the F1 of the negatives; the macro F1 of more classes is `multiclass.f1`."""
    d = decisions(target, probability, threshold=threshold, weight=weight)
    wrong = d.false_positive + d.false_negative
    for count, of_what in (
        (d.true_positive + d.false_negative, "positives"),
        (d.true_negative + d.false_positive, "negatives"),
    ):
        _refuse_none(count, of_what)
    return sum(2 * right / (2 * right + wrong) for right in (d.true_positive, d.true_negative)) / 2


class ScoreFunction(Protocol):
    """A score of targets and probabilities, with optional row weights."""

    def __call__(self, target: Values, probability: Values, *, weight: Values | None = None) -> float:
        """Compute the score."""


@dataclass(frozen=True)
class Score:
    """One score, in the form its task needs."""

    name: str
    title: str
    binary: ScoreFunction
    """Takes the probability of the positive class."""
    multiclass: ScoreFunction | None
    """Takes one column per class; None where the score has no multi-class form."""
    higher_is_better: bool = True

    def __call__(self, target: Values, probability: Values, *, weight: Values | None = None) -> float:
        """Score one column (binary) or one column per class."""
        if np.ndim(probability) == 1:
            return self.binary(target, probability, weight=weight)
        if self.multiclass is None:
            raise ValueError(f"score {self.name!r} is defined for two classes only")
        return self.multiclass(target, probability, weight=weight)


@dataclass(frozen=True)
class PatientScore:
    """A score of two classes that must know which lesions are of one patient."""

    name: str
    title: str
    binary: Callable[[Values, Values, Values], float]
    """Takes targets, probabilities and patients."""
    higher_is_better: bool = True

    def __call__(self, target: Values, probability: Values, groups: Values) -> float:
        """Score one column."""
        return self.binary(target, probability, groups)


_equal_width = partial(calibration_error, binning="equal_width")

SCORES: Mapping[str, Score] = MappingProxyType(
    {
        score.name: score
        for score in (
            Score("pauc", "pAUC above 80 % sensitivity", pauc, None),
            Score("auc", "AUC", auc, multiclass.auc),
            Score("average_precision", "Average precision", average_precision, multiclass.average_precision),
            Score("accuracy", "Accuracy", accuracy, multiclass.accuracy),
            Score("balanced_accuracy", "Balanced accuracy", balanced_accuracy, multiclass.balanced_accuracy),
            Score("sensitivity", "Sensitivity at 0.5", sensitivity, None),
            Score("specificity", "Specificity at 0.5", specificity, None),
            Score("f1", "F1", f1, multiclass.f1),
            Score("macro_f1", "Macro F1", macro_f1, multiclass.f1),
            Score("brier", "Brier score", brier, brier, higher_is_better=False),
            Score("log_loss", "Log loss", log_loss, log_loss, higher_is_better=False),
            Score(
                "calibration_error",
                "Calibration error (bins of equal mass)",
                calibration_error,
                calibration_error,
                higher_is_better=False,
            ),
            Score(
                "calibration_error_equal_width",
                "Calibration error (bins of equal width)",
                _equal_width,
                _equal_width,
                higher_is_better=False,
            ),
            Score("precision", "Precision at 0.5", precision, multiclass.precision),
            Score("macro_recall", "Macro recall", balanced_accuracy, multiclass.balanced_accuracy),
            Score("nnt_80", "NNT at 80 % sensitivity", partial(number_needed, sensitivity=0.8), None, False),
            Score("nnt_90", "NNT at 90 % sensitivity", partial(number_needed, sensitivity=0.9), None, False),
        )
    }
)
"""Scores of lesions."""

PATIENT_SCORES: Mapping[str, PatientScore] = MappingProxyType(
    {score.name: score for score in (PatientScore("se_top_15", "SEtop-15", found_among_top),)}
)
"""Scores of lesions beside the others of their patient."""


def score_of(name: str, target: Values, probability: Values, groups: Values) -> float:
    """A score of either kind by its name."""
    if name in PATIENT_SCORES:
        return PATIENT_SCORES[name](target, probability, groups)
    return SCORES[name](target, probability)


def all_scores(target: Values, probability: Values, groups: Values | None = None) -> dict[str, float]:
    """Every score of the task that this sample defines, by name (`probability`: one column, or one per class).

    Scores of patients are among them where `groups` says whose each lesion is.

    A score that the sample does not define, such as the AUC of a single class, is left out; a missing or infinite
    probability is a ValueError, because the caller has to say what a missing score counts as.
    """
    scores: dict[str, float] = {}
    for name, score in SCORES.items():
        if np.ndim(probability) == 2 and score.multiclass is None:
            continue
        try:
            scores[name] = score(target, probability)
        except UndefinedScoreError:
            continue
    if groups is not None and np.ndim(probability) == 1:
        for name, of_patients in PATIENT_SCORES.items():
            with suppress(UndefinedScoreError):
                scores[name] = of_patients(target, probability, groups)
    return scores
