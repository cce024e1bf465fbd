"""The blend judged by patient: one probability for each out of those of the lesions, in three ways."""

from typing import Any

from data.scores.patient_level import AGGREGATIONS, by_patient, patient_scores
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
