"""Scores of probability columns with intervals over patients; the figures of every report come from here."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from data.cohort import Cohort, Task
from data.scores.intervals import interval_of, replicates_of_scores
from data.scores.scores import all_scores

Figures = dict[str, dict[str, float]]
"""Score name -> estimate, and low and high where an interval was computed."""
NOTHING = "–"
"""Shown where there is no figure."""
CHANCE = {"pauc": 0.02, "auc": 0.5}
"""What a random ranking of endlessly many lesions scores, where that does not depend on the data."""
WITH_INTERVAL = ("auc", "nnt_80", "nnt_90", "se_top_15")
"""Scores of two classes that get an interval beside the one that counts: the same draws give them for little more."""


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
    """Every score of one column; lesions without a probability are left out and counted.

    `drawn` holds the replicates of the score that counts where somebody has made them already.
    """
    known, probability = known_rows(probability)
    _, patient = np.unique(groups[known], return_inverse=True)
    target, probability = target[known], probability[known]
    figures: Figures = {name: {"estimate": value} for name, value in all_scores(target, probability, patient).items()}
    wanted = [task.score, *(name for name in WITH_INTERVAL if name != task.score and probability.ndim == 1)]
    wanted = [name for name in wanted if name in figures]
    if replicates and task.score in figures:
        given = {} if drawn is None else {task.score: drawn}
        missing = [name for name in wanted if name not in given]
        given |= (
            replicates_of_scores(target, probability, patient, scores=missing, replicates=replicates, seed=seed)
            if missing
            else {}
        )
        for name in wanted:
            figures[name] = interval_of(given[name], figures[name]["estimate"]).figures
        invalid = np.count_nonzero(np.isnan(given[task.score]))
        figures["replicates_without_score"] = {"estimate": float(invalid)}
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
    return interval(figures[score])


def interval(found: Mapping[str, float] | None, spec: str = ".4f") -> str:
    """The same of one figure, however precise; a dash where there is none."""
    if found is None:
        return NOTHING
    around = f" ({found['low']:{spec}} to {found['high']:{spec}})" if "low" in found else ""
    return f"{found['estimate']:{spec}}{around}"
