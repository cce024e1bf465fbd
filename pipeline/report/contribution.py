"""How alike the out-of-fold columns are, and what each member brings to the blend."""

from typing import Any

import numpy as np
from scipy.stats import rankdata

from data.scores.intervals import paired_bootstrap
from data.scores.scores import SCORES
from pipeline.report.finished import FinishedRun, Floats
from tabular.blend import blend

REPLICATES = 1000
MANY_CLASS_REPLICATES = 200
"""A macro average has no fast form: each replicate ranks all lesions once per class."""


def correlation(run: FinishedRun) -> dict[str, Any]:
    """Spearman's rank correlation of every pair of columns, on the lesions that all of them know."""
    columns = {**run.image_columns, **run.member_columns, "blend": run.blend}
    values = np.column_stack(list(columns.values()))
    known = np.isfinite(values).all(axis=1)
    ranks = np.column_stack([rankdata(column) for column in values[known].T])
    matrix = np.atleast_2d(np.corrcoef(ranks, rowvar=False))
    # A constant column has no ranks to compare: null, not a made-up 0.
    return {
        "lesions": int(known.sum()),
        "columns": list(columns),
        "spearman": [[float(value) if np.isfinite(value) else None for value in row] for row in matrix],
    }


def agreement(run: FinishedRun) -> dict[str, Any]:
    """How often every pair of columns calls a lesion the same class (several classes)."""
    columns = {**run.image_columns, **run.member_columns, "blend": run.blend}
    known = np.isfinite(np.concatenate(list(columns.values()), axis=1)).all(axis=1)
    called = np.stack([column[known].argmax(axis=1) for column in columns.values()])
    return {
        "lesions": int(known.sum()),
        "columns": list(columns),
        "same_call": [[float((a == b).mean()) for b in called] for a in called],
        "right": [float((one == run.target[known]).mean()) for one in called],
    }


def leave_one_out(run: FinishedRun) -> list[dict[str, Any]]:
    """Score of the blend without each member, and the blend's lead over it on the same drawn patients."""
    if len(run.member_columns) < 2:
        return []
    recipe, score = run.space.recipe.tabular.blend, run.task.score
    result = []
    for name in run.member_columns:
        others = {other: column for other, column in run.member_columns.items() if other != name}
        without = blend(others, recipe, target=run.target, folds=run.fold, groups=run.groups).out_of_fold
        result.append({"member": name, **lead(run, without, score)})
    return result


def lead(run: FinishedRun, without: Floats, score: str) -> dict[str, Any]:
    """The score without a member and the difference it makes, with its interval."""
    known = np.isfinite(without + run.blend).reshape(len(without), -1).all(axis=1)
    target, groups = run.target[known], run.groups[known]
    replicates = REPLICATES if run.binary else MANY_CLASS_REPLICATES
    difference = paired_bootstrap(
        target, run.blend[known], without[known], groups, score=score, replicates=replicates, seed=run.seed
    )
    return {
        "score_without": SCORES[score](target, without[known]),
        "difference": {"estimate": difference.estimate, "low": difference.low, "high": difference.high},
    }
