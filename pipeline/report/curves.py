"""ROC, precision-recall and score distributions of one probability column, thinned to what a plot can show."""

from typing import Any

import numpy as np

from data.scores.scores import roc_points
from pipeline.report.finished import Floats, Ints

POINTS = 240
"""More points than this cannot be told apart in a plot a hand wide."""
SMALLEST = 1e-4
"""Probabilities are cut here on the log-odds axis of the distributions."""
BINS = 36


def rounded(values: Any, digits: int = 6) -> list[float]:
    """A column of figures as JSON holds it."""
    return [float(f"{value:.{digits}g}") for value in np.asarray(values, dtype=np.float64)]


def thinned(x: Floats, y: Floats, most: int = POINTS) -> Ints:
    """Indices of points spread evenly along the curve, both ends included."""
    if len(x) <= most:
        return np.arange(len(x))
    length = np.append(0.0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y))))
    chosen = np.searchsorted(length, np.linspace(0.0, length[-1], most))
    return np.unique(np.concatenate([[0], np.minimum(chosen, len(x) - 1), [len(x) - 1]]))


def roc(target: Ints, probability: Floats) -> dict[str, Any]:
    """False positive rate and sensitivity."""
    false_positive_rate, sensitivity, _ = roc_points(target, probability)
    kept = thinned(false_positive_rate, sensitivity)
    return {
        "false_positive_rate": rounded(false_positive_rate[kept]),
        "sensitivity": rounded(sensitivity[kept]),
    }


def precision_recall(target: Ints, probability: Floats) -> dict[str, Any]:
    """Precision at every recall, from the most suspicious lesion down."""
    false_positive_rate, recall, _ = roc_points(target, probability)
    positives = int(np.count_nonzero(target == 1))
    true = recall[1:] * positives
    called = true + false_positive_rate[1:] * (len(target) - positives)
    kept = thinned(recall[1:], true / called)
    return {
        "recall": rounded(recall[1:][kept]),
        "precision": rounded((true / called)[kept]),
        "prevalence": positives / len(target),
    }


def log_odds(probability: Floats) -> Floats:
    """Logits, cut at SMALLEST on both sides."""
    clipped = np.clip(probability, SMALLEST, 1.0 - SMALLEST)
    return np.asarray(np.log(clipped) - np.log1p(-clipped), dtype=np.float64)


def distributions(target: Ints, probability: Floats) -> dict[str, Any]:
    """Share of each class in bins of equal width in log-odds."""
    logits = log_odds(probability)
    edges = np.linspace(np.floor(logits.min()), max(np.ceil(logits.max()), np.floor(logits.min()) + 1.0), BINS + 1)
    shares = {}
    for name, of_class in (("benign", target == 0), ("malignant", target == 1)):
        counts, _ = np.histogram(logits[of_class], edges)
        shares[name] = rounded(counts / max(int(of_class.sum()), 1))
    return {"edges_log_odds": rounded(edges), **shares}
