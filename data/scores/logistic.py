"""Logistic regression by Newton's steps, for curves of a few coefficients: with an offset, with a normal prior.

Small enough to be checked by eye, exact to the last digits, and the matrix of second derivatives comes with it, which
says how sure each coefficient is. Numpy only.
"""

from dataclasses import dataclass

import numpy as np

from data.scores.ranking import Floats, Ints

STEPS = 100
RIDGE = 1e-9
"""Keeps a curve finite where the classes are parted, as 1e9 lesions of prior knowledge that say nothing would."""


@dataclass(frozen=True)
class Prior:
    """What is believed of the coefficients before a lesion is seen: independent normal values."""

    mean: tuple[float, ...]
    sd: tuple[float, ...]


@dataclass(frozen=True)
class Fit:
    """Coefficients and what the data say of them."""

    coefficients: Floats
    curvature: Floats
    """Second derivatives of the loss: their inverse is the coefficients' covariance, were all lesions independent."""
    gradients: Floats
    """Of the loss of each row, for a covariance over patients."""

    def covariance_over(self, group: Ints) -> Floats:
        """Covariance of the coefficients when rows of one group are alike (the sandwich estimate)."""
        sums = np.column_stack([np.bincount(group, column) for column in self.gradients.T])
        groups = len(sums)
        inverse = np.linalg.inv(self.curvature)
        return np.asarray(inverse @ (sums.T @ sums) @ inverse * groups / max(groups - 1, 1), dtype=np.float64)


def sigmoid(value: Floats) -> Floats:
    """1 / (1 + exp(-value)), without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * value)), dtype=np.float64)


def fit_logistic(features: Floats, target: Floats, offset: Floats | None = None, prior: Prior | None = None) -> Fit:
    """Fit P(target) = sigmoid(features @ coefficients + offset); `target` may lie anywhere from 0 to 1."""
    rows, count = features.shape
    given = np.zeros(rows) if offset is None else offset
    centre = np.zeros(count) if prior is None else np.array(prior.mean)
    pull = np.full(count, RIDGE) if prior is None else 1.0 / np.square(prior.sd)

    def loss(coefficients: Floats) -> float:
        value = features @ coefficients + given
        surprise = np.logaddexp(0.0, value) - target * value
        return float(surprise.sum() + 0.5 * np.sum(pull * np.square(coefficients - centre)))

    now = centre.copy()
    best = loss(now)
    for _ in range(STEPS):
        probability = sigmoid(features @ now + given)
        slope = features.T @ (probability - target) + pull * (now - centre)
        spread = probability * (1.0 - probability)
        curvature = (features * spread[:, None]).T @ features + np.diag(pull)
        step = np.linalg.lstsq(curvature, slope, rcond=None)[0]
        length = 1.0
        while length > 1e-6 and loss(now - length * step) > best:
            length /= 2
        moved = now - length * step
        reached = loss(moved)
        if reached >= best or np.abs(moved - now).max() < 1e-10 * max(1.0, np.abs(now).max()):
            break
        now, best = moved, reached
    probability = sigmoid(features @ now + given)
    spread = probability * (1.0 - probability)
    curvature = (features * spread[:, None]).T @ features + np.diag(pull)
    return Fit(now, np.asarray(curvature, dtype=np.float64), features * (probability - target)[:, None])
