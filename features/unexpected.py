"""How far a lesion's measurements lie from what all its others let expect: a residual for each, and one distance.

What is measured on a lesion goes together: a wide lesion has a long border, a patient with dark skin has lesions of
less contrast. Each number becomes a normal score by the quantiles of the training rows, so that no unit and no long
tail matters, and their covariance says what goes with what. All is fitted on training rows, and no label enters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from features.source import Feature

Floats = npt.NDArray[np.float64]

FAMILY, DISTANCE = "unexpected", "unexpected_distance"
SCORES = np.linspace(-3.0, 3.0, 25)
"""Normal scores whose quantiles are kept; what lies beyond the outermost counts as that."""
FEWEST_NUMBERS, MOST_NUMBERS = 3, 256
"""Fewer let nothing expect; the work grows with the square."""
MOST_ROWS = 50_000
"""Training rows that are looked at, evenly spaced; quantiles and correlations need no more."""
RIDGE = 1e-3
"""Added to every variance (of 1), for numbers that say the same twice."""
BLOCK = 4096
"""Rows multiplied at once, always as many, so that a row's figures do not depend on those beside it."""


@dataclass(frozen=True)
class Expectation:
    """What goes with what among some numbers."""

    names: tuple[str, ...]
    knots: tuple[tuple[tuple[float, float], ...], ...]
    """Of each number: values, rising, with their normal scores."""
    centre: tuple[float, ...]
    deviation: tuple[float, ...]
    precision: tuple[tuple[float, ...], ...]
    """Inverse of the correlations."""

    @classmethod
    def from_json(cls, value: dict[str, Any] | None) -> "Expectation | None":
        """What was stored, if anything was; ValueError where its parts do not fit together."""
        if value is None:
            return None
        knots = tuple(tuple((at, score) for at, score in pairs) for pairs in value["knots"])
        names, centre, deviation = (tuple(value[key]) for key in ("names", "centre", "deviation"))
        precision = tuple(map(tuple, value["precision"]))
        if {len(one) for one in (knots, centre, deviation, precision, *precision)} != {len(names)} or not all(knots):
            raise ValueError("what numbers let expect is of another number of columns")
        return cls(names, knots, centre, deviation, precision)

    @property
    def features(self) -> tuple[Feature, ...]:
        """What the columns mean, in their order."""
        residuals = [
            Feature(f"{name}_unexpected", FAMILY, f"{name} less what the other numbers let expect, normal scores", "sd")
            for name in self.names
        ]
        return (*residuals, Feature(DISTANCE, FAMILY, f"Mahalanobis distance in {len(self.names)} normal scores", "sd"))

    def of(self, values: Floats) -> Floats:
        """(rows, numbers + 1) of values in the order of `names`; of a missing number the residual is missing."""
        missing = np.isnan(values)
        scores = normal_scores(values, self.knots) - np.array(self.centre)
        scores = np.where(missing, 0.0, scores / np.array(self.deviation))
        precision = np.array(self.precision)
        weighed = np.concatenate(
            [times(scores[i : i + BLOCK], precision) for i in range(0, max(len(scores), 1), BLOCK)]
        )
        distance = np.sqrt(np.maximum((weighed * scores).sum(axis=1), 0.0))
        residual = np.where(missing, np.nan, weighed / np.sqrt(np.diag(precision)))
        return np.column_stack([residual, distance])


def fit_expectation(frame: pl.DataFrame, rows: npt.NDArray[np.int64], names: Sequence[str]) -> Expectation | None:
    """Fit on these rows; nothing where too few numbers differ between them, or where there are too many."""
    from sklearn.covariance import ledoit_wolf

    if len(names) > MOST_NUMBERS or len(names) < FEWEST_NUMBERS:
        return None
    seen = rows[:: -(-len(rows) // MOST_ROWS)]
    values = frame[seen].select(pl.col(list(names)).cast(pl.Float64)).to_numpy()
    knots = [quantile_knots(column) for column in values.T]
    kept = [i for i, found in enumerate(knots) if len(found) > 1]
    if len(kept) < FEWEST_NUMBERS:
        return None
    values, knots = values[:, kept], [knots[i] for i in kept]
    scores = normal_scores(values, knots)
    centre = np.nanmean(scores, axis=0)
    scores = np.nan_to_num(scores - centre)
    deviation = scores.std(axis=0)
    shrunk, _ = ledoit_wolf(scores / deviation, assume_centered=True)
    return Expectation(
        tuple(names[i] for i in kept),
        tuple(knots),
        tuple(centre.tolist()),
        tuple(deviation.tolist()),
        tuple(map(tuple, np.linalg.inv(shrunk + RIDGE * np.eye(len(kept))).tolist())),
    )


def quantile_knots(column: Floats) -> tuple[tuple[float, float], ...]:
    """Distinct quantiles with the mean of the normal scores that share each; fewer than two where nothing differs."""
    from scipy.special import ndtr

    present = column[np.isfinite(column)]
    if not len(present):
        return ()
    quantiles = np.quantile(present, ndtr(SCORES))
    distinct = np.unique(quantiles)
    return tuple((float(value), float(SCORES[quantiles == value].mean())) for value in distinct)


def normal_scores(values: Floats, knots: Sequence[Sequence[tuple[float, float]]]) -> Floats:
    """Each column by its own knots, straight between them; a missing number stays missing."""
    found = np.empty_like(values)
    for place, pairs in enumerate(knots):
        at, score = np.array(pairs).T
        found[:, place] = np.interp(values[:, place], at, score)
    return found


def times(rows: Floats, matrix: Floats) -> Floats:
    """The product, made of as many rows as ever."""
    padded = np.zeros((BLOCK, rows.shape[1]))
    padded[: len(rows)] = rows
    return np.asarray((padded @ matrix)[: len(rows)], dtype=np.float64)
