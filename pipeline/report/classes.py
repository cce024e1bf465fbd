"""A task of several classes: each class against the rest, which is taken for which, and how often the call is right.

The call is the most probable class. Intervals draw whole patients.
"""

from typing import Any

import numpy as np

from data.scores.scores import average_precision, confusion_matrix
from pipeline.report.curves import roc
from pipeline.report.finished import FinishedRun, Floats, Ints
from pipeline.report.groups import MIN_PATIENTS, MIN_POSITIVES, interval_figures


def class_figures(run: FinishedRun) -> dict[str, Any]:
    """Every class of the blend, and the table of true and called classes."""
    rows = run.known_rows
    target, probability, groups = run.target[rows], run.blend[rows], run.groups[rows]
    called = probability.argmax(axis=1)
    table = confusion_matrix(target, probability)
    return {
        "lesions": len(rows),
        "groups": len(np.unique(groups)),
        "group_column": run.task.group,
        "min_lesions": MIN_POSITIVES,
        "min_groups": MIN_PATIENTS,
        "accuracy": interval_figures(target, probability, groups, "accuracy", run.seed),
        "balanced_accuracy": interval_figures(target, probability, groups, "balanced_accuracy", run.seed),
        "names": list(run.task.classes),
        "confusion": [[int(count) for count in row] for row in table],
        "classes": [
            {"name": name, **one_class(target == code, probability[:, code], called == code, groups, run.seed)}
            for code, name in enumerate(run.task.classes)
        ],
    }


def one_class(truth: Any, probability: Floats, called: Any, groups: Any, seed: int) -> dict[str, Any]:
    """One class against the rest; a class of a handful of lesions gets its counts alone."""
    target: Ints = truth.astype(np.int64)
    lesions, right, calls = int(target.sum()), int((truth & called).sum()), int(called.sum())
    enough = lesions >= MIN_POSITIVES and len(np.unique(groups[truth])) >= MIN_PATIENTS and lesions < len(target)
    scored: dict[str, Any] = {"auc": None, "average_precision": None, "recall": None, "precision": None, "roc": None}
    if enough:
        scored = {
            "auc": interval_figures(target, probability, groups, "auc", seed),
            "average_precision": average_precision(target, probability),
            # Calls stand in for probabilities of 0 and 1: the share of the class that is recognised.
            "recall": interval_figures(target, called.astype(np.float64), groups, "sensitivity", seed),
            "precision": right / calls if calls else None,
            "roc": roc(target, probability),
        }
    return {"lesions": lesions, "called": calls, "right": right, "too_few": not enough, **scored}


def confidently_wrong(run: FinishedRun, most: int) -> Ints:
    """Rows whose wrong class the blend is surest of, the surest first."""
    rows = run.known_rows
    probability = run.blend[rows]
    wrong = probability.argmax(axis=1) != run.target[rows]
    surest = np.argsort(-probability[wrong].max(axis=1), kind="stable")[:most]
    return np.asarray(rows[wrong][surest], dtype=np.int64)
