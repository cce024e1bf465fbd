"""How alike the out-of-fold columns are, and what each member brings to the blend."""

from typing import Any

import numpy as np
from scipy.stats import rankdata

from data.predictions import known_rows
from data.scores.scores import SCORES
from pipeline.report.finished import FinishedRun
from pipeline.report.leads import lead
from tabular.blend import blend

REPLICATES = 1000
MANY_CLASS_REPLICATES = 200
"""A macro average has no fast form: each replicate ranks all lesions once per class."""


def correlation(finished: FinishedRun) -> dict[str, Any]:
    """Spearman's rank correlation of every pair of columns, on the lesions that all of them know."""
    columns = finished.columns
    known = known_rows(*columns.values())
    ranks = np.column_stack([rankdata(column[known]) for column in columns.values()])
    matrix = np.atleast_2d(np.corrcoef(ranks, rowvar=False))
    # A constant column has no ranks to compare: null, not a made-up 0.
    return {
        "lesions": len(known),
        "columns": list(columns),
        "spearman": [[float(value) if np.isfinite(value) else None for value in row] for row in matrix],
    }


def agreement(finished: FinishedRun) -> dict[str, Any]:
    """How often every pair of columns calls a lesion the same class (several classes)."""
    columns = finished.columns
    known = known_rows(*columns.values())
    called = np.stack([column[known].argmax(axis=1) for column in columns.values()])
    return {
        "lesions": len(known),
        "columns": list(columns),
        "same_call": [[float((a == b).mean()) for b in called] for a in called],
        "right": [float((one == finished.target[known]).mean()) for one in called],
    }


def leave_one_out(finished: FinishedRun) -> list[dict[str, Any]]:
    """Score of the blend without each member, and the blend's lead over it on the same drawn patients."""
    members, whole, score = finished.member_columns, finished.blend, finished.task.score
    target, groups, recipe = finished.target, finished.groups, finished.recipe.tabular.blend
    replicates = REPLICATES if finished.binary else MANY_CLASS_REPLICATES
    result = []
    for name in members if len(members) > 1 else ():
        others = {other: column for other, column in members.items() if other != name}
        without = blend(others, recipe, target=target, folds=finished.fold, groups=groups).out_of_fold
        known = known_rows(without, whole)
        result.append(
            {
                "member": name,
                "score_without": SCORES[score](target[known], without[known]),
                "difference": lead(target, whole, without, groups, score, finished.seed, replicates),
            }
        )
    return result
