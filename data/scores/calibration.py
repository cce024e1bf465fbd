"""How far probabilities can be taken at their word: Brier score, log loss, calibration error, slope. Numpy only.

Each takes either one column (the positive class, targets 0 or 1) or one column per class (targets are class indices).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from data.scores.calibrators import log_odds
from data.scores.logistic import fit_logistic
from data.scores.multiclass import checked_multiclass
from data.scores.ranking import Floats, Ints, UndefinedScoreError, Values, checked_binary

LOG_LOSS_FLOOR = float(np.finfo(np.float64).eps)
"""Probabilities of zero count as this, so that one certain mistake costs 36 and not infinity."""


def _columns(target: Values, probability: Values, weight: Values | None) -> tuple[Ints, Floats, Floats]:
    """Class index, one probability column per class (two when binary) and weight of every row."""
    if np.ndim(probability) == 2:
        many = checked_multiclass(target, probability, weight)
        columns, truth, given = many.probability, many.target, many.weight
    else:
        two = checked_binary(target, probability, weight)
        columns = np.column_stack([1.0 - two.probability, two.probability])
        truth, given = two.positive.astype(np.int64), two.weight
    if not len(truth):
        raise UndefinedScoreError("no rows to score")
    if columns.min() < 0.0 or columns.max() > 1.0:
        raise ValueError("probabilities must lie in [0, 1]; ranks and logits have no calibration")
    off = np.abs(columns.sum(axis=1) - 1.0)
    if off.max() > 1e-3:
        raise ValueError(
            f"the class probabilities of row {off.argmax()} sum to {columns[off.argmax()].sum():.4g}, not 1"
        )
    return truth, columns, np.ones(len(truth)) if given is None else given


def _squared_error(truth: Ints, columns: Floats, binary: bool) -> Floats:
    squared = np.square(columns - np.eye(columns.shape[1])[truth])
    return np.asarray(squared[:, 1] if binary else squared.sum(axis=1), dtype=np.float64)


def _surprise(truth: Ints, columns: Floats) -> Floats:
    of_truth = columns[np.arange(len(truth)), truth] / columns.sum(axis=1)
    return np.asarray(-np.log(np.clip(of_truth, LOG_LOSS_FLOOR, 1.0 - LOG_LOSS_FLOOR)), dtype=np.float64)


def squared_error_of_rows(target: Values, probability: Values) -> Floats:
    """Return each row's part in the Brier score."""
    truth, columns, _ = _columns(target, probability, None)
    return _squared_error(truth, columns, np.ndim(probability) == 1)


def surprise_of_rows(target: Values, probability: Values) -> Floats:
    """Return each row's part in the log loss."""
    truth, columns, _ = _columns(target, probability, None)
    return _surprise(truth, columns)


def brier(target: Values, probability: Values, *, weight: Values | None = None) -> float:
    """Mean squared distance to the truth; with one column per class, summed over the classes (0 to 2)."""
    truth, columns, w = _columns(target, probability, weight)
    return float(np.average(_squared_error(truth, columns, np.ndim(probability) == 1), weights=w))


def log_loss(target: Values, probability: Values, *, weight: Values | None = None) -> float:
    """Mean negative logarithm of the probability given to the true class."""
    truth, columns, w = _columns(target, probability, weight)
    return float(np.average(_surprise(truth, columns), weights=w))


def calibration_error(
    target: Values,
    probability: Values,
    *,
    weight: Values | None = None,
    bins: int = 15,
    binning: Literal["equal_mass", "equal_width"] = "equal_mass",
) -> float:
    """Mean over bins, by weight, of |mean probability - observed share| (expected calibration error).

    One column: probability of the positive class against the share of positives. Several: probability of the class
    predicted against the share of right predictions. Equal mass is the default because nearly all lesions are
    benign and would share the lowest of equally wide bins.
    """
    gap, bin_of, w = gaps_of_rows(target, probability, weight, bins, binning)
    return float(np.abs(np.bincount(bin_of, w * gap, minlength=bins)).sum() / w.sum())


def gaps_of_rows(
    target: Values,
    probability: Values,
    weight: Values | None = None,
    bins: int = 15,
    binning: Literal["equal_mass", "equal_width"] = "equal_mass",
) -> tuple[Floats, Ints, Floats]:
    """Return each row's part in the calibration error, stated less observed; its bin; its weight."""
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    truth, columns, w = _columns(target, probability, weight)
    if np.ndim(probability) == 1:
        stated, observed = columns[:, 1], truth.astype(np.float64)
    else:
        predicted = columns.argmax(axis=1)
        stated, observed = columns[np.arange(len(truth)), predicted], (predicted == truth).astype(np.float64)
    place = stated if binning == "equal_width" else _middle_rank(stated, w)
    return stated - observed, np.minimum((place * bins).astype(np.int64), bins - 1), w


def _middle_rank(stated: Floats, weight: Floats) -> Floats:
    """Share of the weight below each row plus half of that tied with it, so that ties share a bin in any row order."""
    _, code = np.unique(stated, return_inverse=True)
    mass = np.bincount(code, weight)
    middle: Floats = ((np.cumsum(mass) - mass / 2) / mass.sum())[code]
    return middle


Z95 = 1.959964


@dataclass(frozen=True)
class Estimate:
    """A coefficient and its 95 % interval; lesions of one patient count as alike (sandwich estimate)."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Line:
    """How stated and observed log-odds lie to each other."""

    slope: Estimate
    intercept: Estimate


def calibration_line(target: Ints, probability: Floats, groups: Values) -> Line | None:
    """Fit the line; None where it is not defined: one class alone, or one probability for all."""
    if len(np.unique(target)) < 2 or len(np.unique(probability)) < 2:
        return None
    _, patient = np.unique(np.asarray(groups), return_inverse=True)
    patient = patient.astype(np.int64)
    logits, ones, answers = log_odds(probability), np.ones(len(target)), target.astype(np.float64)
    joint = fit_logistic(np.column_stack([logits, ones]), answers)
    shift = fit_logistic(ones[:, None], answers, offset=logits)
    found = []
    for fit in (joint, shift):
        middle, error = float(fit.coefficients[0]), float(np.sqrt(max(0.0, fit.covariance_over(patient)[0, 0])))
        found.append(Estimate(middle, middle - Z95 * error, middle + Z95 * error))
    return Line(*found)
