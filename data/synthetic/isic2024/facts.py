"""What is known about the published ISIC 2024 table, in the form the synthetic cohort draws from.

The numbers (quantiles, rank correlations, shares; no rows) lie in `facts.json`. Here they become curves
between a standard normal score and a column's value. Drawing the scores is left to `patients.py` and
`lesions.py`.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator
from scipy.special import ndtri

from data.files import read_json

Floats = npt.NDArray[np.float64]

SHARE_WITHOUT_COLOUR = 0.06
"""Lesions whose three colour spreads are exactly 0."""

SMALLEST_UNTAGGED_MM = 2.5
"""Lesions below this diameter are in the table only if a doctor tagged them."""

SHARE_SMALL = {"malignant": 0.26, "tagged": 0.21}
"""Lesions below 2.5 mm among the malignant, and among the tagged benign ones."""

_END_OF_TABLE = 4.6
"""Normal score of the most extreme of 401,059 rows."""

SHARE_KEPT_BY_LESIONS = 0.45
"""Factor on the part of the variance that is a lesion's own; below 1 so that comparing a lesion with its patient's
others pays as much as published ablations say (0.02 to 0.03 of pAUC)."""

_COLOUR_SPREADS = ("tbp_lv_norm_color", "tbp_lv_color_std_mean", "tbp_lv_radial_color_std_max")


@cache
def facts() -> dict[str, Any]:
    """The embedded numbers."""
    loaded: dict[str, Any] = read_json(Path(__file__).with_name("facts.json"))
    return loaded


@dataclass(frozen=True)
class Marginal:
    """A monotone curve from normal score to value, through the published quantiles."""

    scores: Floats
    values: Floats

    def value(self, score: Floats) -> Floats:
        """The column's value at a normal score."""
        inside = np.clip(score, self.scores[0], self.scores[-1])
        return np.asarray(PchipInterpolator(self.scores, self.values)(inside), dtype=np.float64)

    def score(self, value: Floats) -> Floats:
        """The normal score at a value, the inverse of `value`."""
        grid = np.linspace(self.scores[0], self.scores[-1], 4001)
        return np.interp(value, self.value(grid), grid)


@cache
def marginal(column: str) -> Marginal:
    """The curve of one numeric column over the full table (for colour spreads: over the lesions that have one)."""
    low, q25, q50, q75, high = facts()["quartiles"][column]
    q01, q05, q95, q99 = facts()["tails"][column]
    levels = np.array([0.01, 0.05, 0.25, 0.50, 0.75, 0.95, 0.99])
    values = np.array([q01, q05, q25, q50, q75, q95, q99])
    if column == "clin_size_long_diam_mm":
        low, values[0] = SMALLEST_UNTAGGED_MM, SMALLEST_UNTAGGED_MM + 0.01
    if column in _COLOUR_SPREADS:
        levels = (levels[2:] - SHARE_WITHOUT_COLOUR) / (1 - SHARE_WITHOUT_COLOUR)
        values, low = values[2:], 0.01
    scores = np.concatenate([[-_END_OF_TABLE], ndtri(levels), [_END_OF_TABLE]])
    return Marginal(scores, np.maximum.accumulate(np.concatenate([[low], values, [high]])))


@cache
def malignant_curve(column: str) -> Marginal:
    """From the normal score of a benign lesion to the score at which a malignant one of the same rank stands.

    Put through `marginal(column)`, it gives the published quantiles of the malignant lesions.
    """
    levels = np.array([0.01, 0.05, 0.25, 0.50, 0.75, 0.95, 0.99])
    values = np.array(facts()["malignant"][column])
    if column == "clin_size_long_diam_mm":
        small = SHARE_SMALL["malignant"]
        levels, values = (levels[3:] - small) / (1 - small), values[3:]
    if column in _COLOUR_SPREADS:
        levels, values = levels[2:], np.maximum(values[2:], 0.05)
    scores, moved = ndtri(levels), marginal(column).score(values)
    return Marginal(
        np.concatenate([[-_END_OF_TABLE - 1], scores, [_END_OF_TABLE + 1]]),
        np.concatenate(
            [
                [moved[0] - scores[0] - _END_OF_TABLE - 1],
                moved,
                [max(moved[-1], moved[-1] - scores[-1] + _END_OF_TABLE + 1)],
            ]
        ),
    )


@dataclass(frozen=True)
class LatentSpread:
    """How the normal scores of the measured columns vary together, between patients and within one."""

    columns: tuple[str, ...]
    between: Floats
    """Factor F with F F' the covariance of patients' means."""
    within: Floats
    """Factor of the covariance of lesions around their patient's mean; both covariances add up to variance 1."""


@cache
def latent_spread() -> LatentSpread:
    """Split the published rank correlation into a part shared by a patient's lesions and a part of each lesion."""
    columns = tuple(facts()["columns"])
    values, vectors = np.linalg.eigh(np.array(facts()["correlation"]))
    correlation = (vectors * np.maximum(values, 1e-4)) @ vectors.T
    scale = 1 / np.sqrt(np.diag(correlation))
    correlation *= scale[:, None] * scale[None, :]
    own = 1 - np.array([facts()["patient_share"][column] for column in columns])
    share = 1 - SHARE_KEPT_BY_LESIONS * own

    def factor(part: Floats) -> Floats:
        return np.asarray(np.linalg.cholesky(correlation * np.sqrt(part[:, None] * part[None, :])), dtype=np.float64)

    return LatentSpread(columns, factor(share), factor(1 - share))
