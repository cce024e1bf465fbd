"""A task of several classes: each class against the rest, which is taken for which, and how often the call is right.

The call is the most probable class. Intervals draw whole patients.
"""

from typing import Any, get_args

import numpy as np

from data.scores.scores import average_precision, confusion_matrix
from pipeline.report.curves import roc
from pipeline.report.finished import FinishedRun, Floats, Ints
from pipeline.report.groups import MIN_PATIENTS, MIN_POSITIVES, REPLICATES
from pipeline.report.leads import score_figures
from pipeline.report.patients import class_figures_by_group
from tabular.blend import blend
from tabular.class_factors import Calls
from tabular.recipe import BlendRecipe

SCORES_OF_CALLS = ("accuracy", "balanced_accuracy", "macro_f1")


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
        "calls": [calls_by(way, finished) for way in get_args(Calls)],
        "malignant": malignant_or_benign(finished) if task.malignant else None,
        "names": list(task.classes),
        "confusion": [[int(count) for count in row] for row in table],
        "classes": [
            {"name": name, **one_class(target == code, probability[:, code], called == code, groups, seed)}
            for code, name in enumerate(task.classes)
        ],
    }


def calls_by(way: Calls, finished: FinishedRun) -> dict[str, Any]:
    """Scores if `tabular.blend.calls` were this; the factors for a fold's rows are found on the other folds."""
    recipe = BlendRecipe(calls=way)
    said = blend(finished.member_columns, recipe, target=finished.target, folds=finished.fold).out_of_fold
    rows = finished.known_rows
    scored = finished.target[rows], said[rows], finished.groups[rows]
    return {
        "way": way,
        "chosen": way == finished.recipe.tabular.blend.calls,
        **{score: score_figures(*scored, score, finished.seed, REPLICATES) for score in SCORES_OF_CALLS},
    }


def malignant_or_benign(finished: FinishedRun) -> dict[str, Any]:
    """The classes in two groups: the probability of a malignant one is the sum of theirs."""
    target, probability, groups = finished.scored()
    inside = np.isin(finished.task.classes, finished.task.malignant)
    two, said = inside[target].astype(np.int64), probability[:, inside].sum(axis=1)
    return {
        "classes": list(finished.task.malignant),
        "lesions": int(two.sum()),
        **{
            score: score_figures(two, said, groups, score, finished.seed, REPLICATES)
            for score in ("auc", "average_precision", "sensitivity", "specificity")
        },
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
