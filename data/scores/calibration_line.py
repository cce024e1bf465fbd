"""Calibration slope and intercept, with intervals over patients. Numpy only.

Slope: of the logistic regression of the answers on the log-odds; 1 is right, below 1 the probabilities are too extreme.
Intercept: how far the log-odds are off as a whole when the slope is taken for 1; 0 is right, below 0 they are too high.
"""

from dataclasses import dataclass

import numpy as np

from data.scores.calibrators import log_odds
from data.scores.logistic import fit_logistic
from data.scores.ranking import Floats, Ints, Values

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
