"""How alike the out-of-fold columns are, and what each member brings to the blend."""

from typing import Any

import numpy as np
from scipy.stats import rankdata

from data.intervals import paired_bootstrap
from data.score import SCORES
from pipeline.report.finished import FinishedRun, Floats
from tabular.blend import blend

REPLICATES = 1000


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
    known = np.isfinite(without) & np.isfinite(run.blend)
    target, groups = run.target[known], run.groups[known]
    difference = paired_bootstrap(
        target, run.blend[known], without[known], groups, score=score, replicates=REPLICATES, seed=run.seed
    )
    return {
        "score_without": SCORES[score](target, without[known]),
        "difference": {"estimate": difference.estimate, "low": difference.low, "high": difference.high},
    }
