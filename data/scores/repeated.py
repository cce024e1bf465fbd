"""Whether a gain measured on several splits is more than their spread, although their training sets overlap.

Nadeau and Bengio, Inference for the generalization error (Machine Learning 52, 2003): J differences that come from
models trained on overlapping patients do not vary independently. Their mean has the variance
(1/J + n_test/n_train) s^2, not s^2/J; the test is a t test with J - 1 degrees of freedom.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from data.scores.ranking import UndefinedScoreError
from data.scores.scores import score_of

LEVEL = 0.05
"""A gain is told from the spread when the two-sided test says so at this level."""
MOST_REPEATS = 1000
"""Beyond as many repeats nobody would go; the overlap of training sets never averages out."""


@dataclass(frozen=True)
class CorrectedTest:
    """What differences on J test folds say of a gain."""

    mean: float
    deviation: float
    """s, between the differences."""
    evaluations: int
    """J."""
    low: float
    high: float
    p: float
    repeats_needed: int | None
    """Repeats of the cross-validation from which on such a gain would be told from such a spread; None: no number."""

    @property
    def distinguishable(self) -> bool:
        """Whether the gain is more than the spread."""
        return self.p < LEVEL

    def to_json(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "distinguishable": self.distinguishable}


def corrected_test(differences: Sequence[float], folds: int) -> CorrectedTest | None:
    """Test differences, one per fold and repeat of a cross-validation; None where fewer than two are defined."""
    values = np.asarray([one for one in differences if np.isfinite(one)], dtype=np.float64)
    count = len(values)
    if count < 2 or folds < 2:
        return None
    mean, deviation, ratio = float(values.mean()), float(values.std(ddof=1)), 1.0 / (folds - 1)
    error = deviation * sqrt(1.0 / count + ratio)
    half = float(student.ppf(1.0 - LEVEL / 2, count - 1)) * error
    p = float(2.0 * student.sf(abs(mean) / error, count - 1)) if error else float(mean == 0.0)
    return CorrectedTest(mean, deviation, count, mean - half, mean + half, p, repeats_needed(mean, deviation, folds))


def repeats_needed(mean: float, deviation: float, folds: int) -> int | None:
    """The smallest number of repeats at which a gain of this size and spread would be told apart."""
    for repeats in range(1, MOST_REPEATS + 1) if mean else ():
        count = repeats * folds
        error = deviation * sqrt(1.0 / count + 1.0 / (folds - 1))
        if abs(mean) > student.ppf(1.0 - LEVEL / 2, count - 1) * error:
            return repeats
    return None


def fold_differences(
    score: str,
    target: npt.NDArray[Any],
    groups: npt.NDArray[Any],
    fold: npt.NDArray[Any],
    a: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
) -> Iterator[float]:
    """Score of `a` less score of `b` on each fold; folds in which it is undefined are left out."""
    for number in np.unique(fold):
        rows = fold == number
        with suppress(UndefinedScoreError):
            yield score_of(score, target[rows], a[rows], groups[rows]) - score_of(
                score, target[rows], b[rows], groups[rows]
            )


def in_words(test: dict[str, Any] | None) -> str:
    """`yes, p 0.01`; `no: about 12 repeats`; `no: no number of repeats`; empty where it cannot be said."""
    if test is None:
        return ""
    if test["distinguishable"]:
        return f"yes, p {test['p']:.2g}"
    needed = test["repeats_needed"]
    return f"no, p {test['p']:.2g}; " + ("no number of repeats" if needed is None else f"{needed} repeats")
