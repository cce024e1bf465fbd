"""A task of several classes: each class against the rest, which is taken for which, and how often the call is right.

The call is the most probable class. Intervals draw whole patients.
"""

from typing import Any

import numpy as np

from data.scores.scores import average_precision, confusion_matrix
from pipeline.report.curves import roc
from pipeline.report.finished import FinishedRun, Floats, Ints
from pipeline.report.groups import MIN_PATIENTS, MIN_POSITIVES, REPLICATES
from pipeline.report.leads import score_figures
from pipeline.report.patients import class_figures_by_group


def class_figures(finished: FinishedRun) -> dict[str, Any]:
    """Every class of the blend, and the table of true and called classes."""
    target, probability, groups = finished.scored()
    called, task, seed = probability.argmax(axis=1), finished.task, finished.seed
    table = confusion_matrix(target, probability)
    return {
        "lesions": len(target),
        "groups": len(np.unique(groups)),
        "group_column": task.group,
        "min_lesions": MIN_POSITIVES,
        "min_groups": MIN_PATIENTS,
        **{
            score: score_figures(target, probability, groups, score, seed, REPLICATES)
            for score in ("accuracy", "balanced_accuracy")
        },
        "together": class_figures_by_group(target, probability, groups),
        "names": list(task.classes),
        "confusion": [[int(count) for count in row] for row in table],
        "classes": [
            {"name": name, **one_class(target == code, probability[:, code], called == code, groups, seed)}
            for code, name in enumerate(task.classes)
        ],
    }


def one_class(truth: Any, probability: Floats, called: Any, groups: Any, seed: int) -> dict[str, Any]:
    """One class against the rest; a class of a handful of lesions gets its counts alone."""
    target: Ints = truth.astype(np.int64)
    lesions, right, calls = int(target.sum()), int((truth & called).sum()), int(called.sum())
    enough = lesions >= MIN_POSITIVES and len(np.unique(groups[truth])) >= MIN_PATIENTS and lesions < len(target)
    scored: dict[str, Any] = dict.fromkeys(("auc", "average_precision", "recall", "precision", "roc"))
    if enough:
        scored = {
            "auc": score_figures(target, probability, groups, "auc", seed, REPLICATES),
            "average_precision": average_precision(target, probability),
            # Calls stand in for probabilities of 0 and 1: the share of the class that is recognised.
            "recall": score_figures(target, called.astype(np.float64), groups, "sensitivity", seed, REPLICATES),
            "precision": right / calls if calls else None,
            "roc": roc(target, probability),
        }
    return {"lesions": lesions, "called": calls, "right": right, "too_few": not enough, **scored}


def confidently_wrong(finished: FinishedRun, most: int) -> Ints:
    """Rows whose wrong class the blend is surest of, the surest first."""
    target, probability, _ = finished.scored()
    wrong = probability.argmax(axis=1) != target
    surest = np.argsort(-probability[wrong].max(axis=1), kind="stable")[:most]
    return np.asarray(finished.known_rows[wrong][surest], dtype=np.int64)
