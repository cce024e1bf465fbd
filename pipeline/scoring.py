"""Scores of probability columns with intervals over patients; the figures of every report come from here."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from data.cohort import Task
from data.intervals import bootstrap
from data.score import all_scores
from pipeline.workspace import Workspace

Figures = dict[str, dict[str, float]]
"""Score name -> estimate, and low and high where an interval was computed."""


def score_columns(
    space: Workspace,
    columns: Mapping[str, npt.NDArray[np.float64]],
    rows: npt.NDArray[np.int64] | None = None,
    replicates: int = 1000,
) -> dict[str, Figures]:
    """Score columns that are aligned to the training table (or to `rows` of it)."""
    train = space.data.train
    target, groups = train.target, train.groups
    if rows is not None:
        target, groups = target[rows], groups[rows]
    return {
        name: score_one(train.task, target, column, groups, seed=space.recipe.seed, replicates=replicates)
        for name, column in columns.items()
    }


def score_one(
    task: Task,
    target: npt.NDArray[np.int64],
    probability: npt.NDArray[np.float64],
    groups: npt.NDArray[Any],
    *,
    seed: int,
    replicates: int = 1000,
) -> Figures:
    """Every score of one column; lesions without a probability are left out and counted."""
    if probability.ndim == 2 and probability.shape[1] == 1:
        probability = probability[:, 0]
    known = np.isfinite(probability) if probability.ndim == 1 else np.isfinite(probability).all(axis=1)
    target, probability, groups = target[known], probability[known], groups[known]
    figures: Figures = {name: {"estimate": value} for name, value in all_scores(target, probability).items()}
    if replicates and task.score in figures:
        interval = bootstrap(target, probability, groups, score=task.score, replicates=replicates, seed=seed)
        figures[task.score] = {"estimate": interval.estimate, "low": interval.low, "high": interval.high}
        figures["replicates_without_score"] = {"estimate": float(interval.n_invalid)}
    figures["lesions"] = {"estimate": float(len(target))}
    figures["without_prediction"] = {"estimate": float((~known).sum())}
    return figures


def shown(figures: Figures, score: str) -> str:
    """`0.1534 (0.1421 to 0.1630)`."""
    main = figures[score]
    interval = f" ({main['low']:.4f} to {main['high']:.4f})" if "low" in main else ""
    return f"{main['estimate']:.4f}{interval}"
