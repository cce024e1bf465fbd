"""Does a probability mean what it says? Reliability, the same after an honest recalibration, and net benefit.

Stage two trains on resampled folds, which shifts every probability; the ranking is not touched. So everything here is
shown twice: as the models give it, and recalibrated by a logistic curve that was fitted on the other folds.
"""

from typing import Any

import numpy as np
from scipy.stats import binomtest

from data.scores.calibrate import cross_fitted, fit_platt
from data.scores.scores import brier, calibration_error, log_loss
from pipeline.report.curves import rounded
from pipeline.report.finished import Floats, Ints

LEAST_IN_BIN = 30
"""A bin of fewer lesions says nothing about a share."""
MOST_BINS = 12


def recalibrated(target: Ints, probability: Floats, fold: Ints) -> Floats | None:
    """Probabilities after a logistic curve on the log-odds (Platt) of the other folds; None if none can be learned."""
    known = [target[fold != one] for one in np.unique(fold)]
    learnable = all(len(np.unique(answers)) > 1 for answers in known)
    return (
        cross_fitted(lambda rows: fit_platt(target[rows], probability[rows]), probability, fold) if learnable else None
    )


def reliability(target: Ints, probability: Floats) -> list[dict[str, float]]:
    """Mean probability and observed share by bin; each bin holds half of the lesions above the one before.

    Nearly all lesions are benign and look it: bins of equal mass would put all that is interesting into the last one.
    """
    order = np.argsort(probability, kind="stable")
    bins: list[dict[str, float]] = []
    start = 0
    while start < len(order):
        left = len(order) - start
        last = left < 2 * LEAST_IN_BIN or len(bins) == MOST_BINS - 1
        rows = order[start:] if last else order[start : start + left // 2]
        positives = int(target[rows].sum())
        interval = binomtest(positives, len(rows)).proportion_ci(method="wilson")
        bins.append(
            {
                "mean_probability": float(probability[rows].mean()),
                "observed_share": positives / len(rows),
                "low": float(interval.low),
                "high": float(interval.high),
                "lesions": len(rows),
                "positives": positives,
            }
        )
        start += len(rows)
    return bins


def calibration(target: Ints, probability: Floats, again: Floats | None) -> dict[str, Any]:
    """Reliability and the scores that judge probabilities, as given and recalibrated."""
    columns = {"as_given": probability, "recalibrated": again}
    return {
        name: None
        if column is None
        else {
            "brier": brier(target, column),
            "log_loss": log_loss(target, column),
            "calibration_error": calibration_error(target, column),
            "bins": reliability(target, column),
        }
        for name, column in columns.items()
    }


def net_benefit(target: Ints, probability: Floats, thresholds: Floats) -> Floats:
    """Malignant found per 1,000 lesions, less the benign flagged at the rate that the threshold is willing to pay."""
    order = np.sort(probability[target == 1]), np.sort(probability[target == 0])
    true, false = (len(part) - np.searchsorted(part, thresholds, side="left") for part in order)
    odds = thresholds / (1.0 - thresholds)
    return np.asarray(1000.0 * (true - false * odds) / len(target), dtype=np.float64)


def decision_curve(target: Ints, probability: Floats, again: Floats | None) -> dict[str, Any]:
    """Net benefit over the thresholds at which a clinician might act, a fifth to twenty times the prevalence."""
    prevalence = float(target.mean())
    thresholds = np.geomspace(prevalence / 5, min(0.8, prevalence * 20), 60)
    everyone = 1000.0 * (prevalence - (1.0 - prevalence) * thresholds / (1.0 - thresholds))
    return {
        "threshold": rounded(thresholds),
        "as_given": rounded(net_benefit(target, probability, thresholds)),
        "recalibrated": None if again is None else rounded(net_benefit(target, again, thresholds)),
        "flag_everyone": rounded(everyone),
    }
