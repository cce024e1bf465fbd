"""Scores of probability columns with intervals over patients; the figures of every report come from here."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from data.cohort import Cohort, Task
from data.scores.intervals import interval_of, replicate_scores
from data.scores.scores import all_scores

Figures = dict[str, dict[str, float]]
"""Score name -> estimate, and low and high where an interval was computed."""


def score_columns(
    train: Cohort,
    columns: Mapping[str, npt.NDArray[np.float64]],
    *,
    seed: int,
    rows: npt.NDArray[np.int64] | None = None,
    replicates: int = 1000,
    drawn: Mapping[str, npt.NDArray[np.float64]] | None = None,
) -> dict[str, Figures]:
    """Score columns that are aligned to the training table (or to `rows` of it).

    `drawn` holds the scores of bootstrap replicates where somebody has made them already.
    """
    target, groups = train.target, train.groups
    if rows is not None:
        target, groups = target[rows], groups[rows]
    return {
        name: score_one(
            train.task,
            target,
            column,
            groups,
            seed=seed,
            replicates=replicates,
            drawn=None if drawn is None else drawn[name],
        )
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
    drawn: npt.NDArray[np.float64] | None = None,
) -> Figures:
    """Every score of one column; lesions without a probability are left out and counted."""
    known, probability = known_rows(probability)
    target, probability, groups = target[known], probability[known], groups[known]
    figures: Figures = {name: {"estimate": value} for name, value in all_scores(target, probability).items()}
    if replicates and task.score in figures:
        if drawn is None:
            drawn = replicate_scores(target, probability, groups, score=task.score, replicates=replicates, seed=seed)
        interval = interval_of(drawn, figures[task.score]["estimate"])
        figures[task.score] = {"estimate": interval.estimate, "low": interval.low, "high": interval.high}
        figures["replicates_without_score"] = {"estimate": float(interval.n_invalid)}
    figures["lesions"] = {"estimate": float(len(target))}
    figures["without_prediction"] = {"estimate": float((~known).sum())}
    return figures


def known_rows(
    probability: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """Which lesions have a probability; and a single column as a plain vector."""
    if probability.ndim == 2 and probability.shape[1] == 1:
        probability = probability[:, 0]
    finite = np.isfinite(probability.reshape(len(probability), -1))
    return np.asarray(finite.all(axis=1), dtype=np.bool_), probability


def shown(figures: Figures, score: str) -> str:
    """`0.1534 (0.1421 to 0.1630)`."""
    main = figures[score]
    interval = f" ({main['low']:.4f} to {main['high']:.4f})" if "low" in main else ""
    return f"{main['estimate']:.4f}{interval}"
