"""Scores over more than two classes: macro averages of one class against the rest, and the confusion matrix.

Targets are class indices, probabilities one column per class. A macro average is over all classes or undefined:
leaving out a class that the sample lacks would compare averages of different things. Numpy only.
"""

from dataclasses import dataclass

import numpy as np

from data.scores import ranking
from data.scores.ranking import Floats, Ints, UndefinedScoreError, Values, checked_weight

AnyCounts = Floats | Ints


@dataclass(frozen=True)
class Multiclass:
    """A checked multi-class sample; rows of weight zero are gone."""

    target: Ints
    probability: Floats
    weight: Floats | None


def checked_multiclass(target: Values, probability: Values, weight: Values | None = None) -> Multiclass:
    """Check one sample: equal lengths, whole class indices within the columns, finite numbers, weights not negative."""
    y = np.asarray(target)
    p = np.asarray(probability, dtype=np.float64)
    if p.ndim != 2 or y.shape != p.shape[:1] or p.shape[1] < 2:
        raise ValueError(f"target {y.shape} and probability {p.shape} must be (rows,) and (rows, at least 2 classes)")
    codes = y.astype(np.int64)
    if np.any(codes != y) or np.any((codes < 0) | (codes >= p.shape[1])):
        raise ValueError(f"targets must be whole class indices from 0 to {p.shape[1] - 1}")
    if not np.all(np.isfinite(p)):
        raise ValueError(f"{np.count_nonzero(~np.isfinite(p))} of {p.size} probabilities are missing or infinite")
    if weight is None:
        return Multiclass(codes, p, None)
    w = checked_weight(weight, len(y))
    kept = w > 0
    return Multiclass(codes[kept], p[kept], w[kept])


def confusion_matrix(target: Values, probability: Values, *, weight: Values | None = None) -> Floats:
    """Weight of the rows of each true class (rows) given to each predicted class (columns; the most probable one)."""
    sample = checked_multiclass(target, probability, weight)
    n = sample.probability.shape[1]
    flat = np.bincount(sample.target * n + sample.probability.argmax(axis=1), sample.weight, minlength=n * n)
    return flat.reshape(n, n).astype(np.float64)


def _confusion_of_all_classes(target: Values, probability: Values, weight: Values | None) -> Floats:
    matrix = confusion_matrix(target, probability, weight=weight)
    absent = np.flatnonzero(matrix.sum(axis=1) == 0)
    if absent.size:
        raise UndefinedScoreError(
            f"no row of class {', '.join(map(str, absent))}: an average over all classes is undefined"
        )
    return matrix


def accuracy(target: Values, probability: Values, *, weight: Values | None = None) -> float:
    """Share of rows whose most probable class is the true one."""
    matrix = confusion_matrix(target, probability, weight=weight)
    if not matrix.any():
        raise UndefinedScoreError("no rows to score")
    return float(np.trace(matrix) / matrix.sum())


def balanced_accuracy(target: Values, probability: Values, *, weight: Values | None = None) -> float:
    """Mean over classes of the share recognised."""
    matrix = _confusion_of_all_classes(target, probability, weight)
    return mean_recall(np.diag(matrix), matrix.sum(axis=1))


def precision(target: Values, probability: Values, *, weight: Values | None = None) -> float:
    """Macro precision: mean over classes of the share of its calls that are right; a class never called counts 0."""
    matrix = _confusion_of_all_classes(target, probability, weight)
    calls = matrix.sum(axis=0)
    return float(np.mean(np.divide(np.diag(matrix), calls, out=np.zeros(len(calls)), where=calls > 0)))


def f1(target: Values, probability: Values, *, weight: Values | None = None) -> float:
    """Macro F1: mean over classes of the harmonic mean of precision and sensitivity."""
    matrix = _confusion_of_all_classes(target, probability, weight)
    return mean_f1(np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0))


def mean_recall(right: AnyCounts, there: AnyCounts, called: AnyCounts | None = None) -> float:
    """Mean share recognised of the classes that are there, from the counts of each class."""
    known = there > 0
    return float(np.mean(right[known] / there[known]))


def mean_f1(right: AnyCounts, there: AnyCounts, called: AnyCounts) -> float:
    """Mean F1 of the classes that are there or were called, from the counts of each class."""
    either = there + called
    known = either > 0
    return float(np.mean(2 * right[known] / either[known]))


def auc(target: Values, probability: Values, *, weight: Values | None = None) -> float:
    """Macro AUC: mean over classes of the area under the ROC curve of the class against the rest."""
    sample = checked_multiclass(target, probability, weight)
    columns = enumerate(sample.probability.T)
    return float(np.mean([ranking.auc(sample.target == code, p, weight=sample.weight) for code, p in columns]))


def average_precision(target: Values, probability: Values, *, weight: Values | None = None) -> float:
    """Macro average precision: mean over classes of the average precision of the class against the rest."""
    sample = checked_multiclass(target, probability, weight)
    columns = enumerate(sample.probability.T)
    return float(
        np.mean([ranking.average_precision(sample.target == code, p, weight=sample.weight) for code, p in columns])
    )
