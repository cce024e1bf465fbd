"""The blend judged by patient, or by lesion where that is the group: one probability out of several, in three ways."""

from typing import Any, Literal

import numpy as np

from data.scores.patient_level import AGGREGATIONS, by_patient, class_scores_by_group, patient_scores
from pipeline.report.finished import Floats, Ints

NAMES = {"max": "most suspicious lesion", "mean": "mean of the lesions", "noisy_or": "at least one, if independent"}
"""What each way makes of a patient's lesions."""


def patient_figures(target: Ints, probability: Floats, groups: Any) -> dict[str, Any] | None:
    """Scores over patients of each way; None where patients of one kind alone are there."""
    patients = by_patient(target, probability, groups, "max")
    positive = int(patients.target.sum())
    if positive in (0, len(patients.target)):
        return None
    rows = []
    for how in sorted(AGGREGATIONS):
        scores = patient_scores(target, probability, groups, how)
        rows.append({"way": NAMES[how], "auc": scores["auc"], "average_precision": scores["average_precision"]})
    return {"patients": len(patients.target), "positives": positive, "rows": rows}


OF_CLASSES = ("accuracy", "balanced_accuracy", "macro_f1", "auc")


def class_figures_by_group(target: Ints, probability: Floats, groups: Any) -> dict[str, Any] | None:
    """Scores of several classes, each image by itself and the images of a group together; None where that is the same,
    or where a group has several answers.
    """
    count = len(np.unique(groups))
    if count == len(groups):
        return None
    ways: tuple[tuple[str, Literal["mean", "max"], Any], ...] = (
        ("each by itself", "mean", np.arange(len(groups))),
        ("mean", "mean", groups),
        ("highest of each class", "max", groups),
    )
    rows = []
    for way, how, together in ways:
        scores = class_scores_by_group(target, probability, together, how)
        if scores is None:
            return None
        rows.append({"way": way, **{name: scores.get(name) for name in OF_CLASSES}})
    return {"groups": count, "rows": rows}
