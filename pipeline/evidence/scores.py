"""Several scores of several columns on the same drawn patients, and how far each column is from the first."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from data.cohort import Task
from data.predictions import known_rows
from data.progress import Progress, silent
from data.scores.intervals import interval_of, replicates_of_scores
from data.scores.scores import UndefinedScoreError, score_of
from pipeline.report.leads import Figures

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
REPLICATES = 1000


def metrics_of(task: Task) -> tuple[str, ...]:
    """The organisers' five scores for two classes, the score that counts first; two that exist for more."""
    five = ("auc", "nnt_80", "nnt_90", "se_top_15")
    if len(task.classes) > 2:
        return tuple(dict.fromkeys((task.score, "auc", "balanced_accuracy")))
    return tuple(dict.fromkeys((task.score, "pauc", *five)))


def drawn_scores(
    target: Ints, column: Floats, groups: npt.NDArray[Any], metrics: Sequence[str], seed: int
) -> dict[str, tuple[float, Floats]]:
    """Every score that these lesions define: its estimate and its replicates over drawn patients."""
    estimates = {}
    for metric in metrics:
        try:
            estimates[metric] = score_of(metric, target, column, groups)
        except UndefinedScoreError:
            continue
    if not estimates:
        return {}
    drawn = replicates_of_scores(target, column, groups, scores=tuple(estimates), replicates=REPLICATES, seed=seed)
    return {metric: (estimate, drawn[metric]) for metric, estimate in estimates.items()}


def as_figures(drawn: tuple[float, Floats] | None) -> Figures | None:
    """A score or a difference with its interval; None where no draw defines it."""
    if drawn is None:
        return None
    try:
        return interval_of(drawn[1], drawn[0]).figures
    except UndefinedScoreError:
        return None


def less(a: tuple[float, Floats] | None, b: tuple[float, Floats] | None) -> tuple[float, Floats] | None:
    """One score less another on the same drawn patients."""
    return None if a is None or b is None else (a[0] - b[0], a[1] - b[1])


def compared(
    columns: Mapping[str, Floats],
    target: Ints,
    groups: npt.NDArray[Any],
    metrics: Sequence[str],
    seed: int,
    progress: Progress = silent,
) -> dict[str, dict[str, Any]]:
    """By column: `scores`, and `differences` from the first column, on the lesions that all columns know."""
    known = known_rows(*columns.values())
    _, patient = np.unique(groups[known], return_inverse=True)
    drawn = {}
    for place, (name, column) in enumerate(columns.items(), start=1):
        drawn[name] = drawn_scores(target[known], column[known], patient, metrics, seed)
        progress(place, len(columns))
    first = next(iter(columns))
    return {
        name: {
            "scores": {metric: as_figures(found.get(metric)) for metric in metrics},
            "differences": None
            if name == first
            else {metric: as_figures(less(found.get(metric), drawn[first].get(metric))) for metric in metrics},
        }
        for name, found in drawn.items()
    }


def sample_figures(target: Ints, groups: npt.NDArray[Any]) -> dict[str, int]:
    """What some lesions are, in numbers."""
    return {
        "lesions": len(target),
        "patients": len(np.unique(groups)),
        "positives": int((target > 0).sum()),
    }
