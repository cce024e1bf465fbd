"""Scores and differences of two scores with their intervals, as figures; drawn over whole patients."""

from typing import Any

import numpy as np
import numpy.typing as npt

from data.predictions import known_rows
from data.scores.intervals import bootstrap, paired_bootstrap
from data.scores.ranking import UndefinedScoreError

Figures = dict[str, float]
Floats = npt.NDArray[np.float64]


def finite(value: Any) -> float | None:
    """None for a missing probability."""
    return float(value) if np.isfinite(value) else None


def score_figures(target: Any, probability: Any, groups: Any, score: str, seed: int, replicates: int) -> Figures | None:
    """A score; None where no draw of patients defines it."""
    try:
        return bootstrap(target, probability, groups, score=score, replicates=replicates, seed=seed).figures
    except UndefinedScoreError:
        return None


def lead(target: Any, a: Floats, b: Floats, groups: Any, score: str, seed: int, replicates: int) -> Figures:
    """Score of `a` less score of `b` on the lesions that both know, the same drawn patients for both."""
    known = known_rows(a, b)
    interval = paired_bootstrap(
        target[known], a[known], b[known], groups[known], score=score, replicates=replicates, seed=seed
    )
    return interval.figures
