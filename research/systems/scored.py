"""What a system said of the rows that its protocol scores, and the figures of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from data.cohort import Cohort
from data.scores import ranking
from data.scores.intervals import interval_of, replicate_scores
from data.scores.scores import SCORES, all_scores, confusion_matrix
from image_models.networks.cost import describe, milliseconds_per_image
from pipeline.report.curves import roc
from pipeline.report.patients import class_figures_by_group, patient_figures
from pipeline.scoring import known_rows


@dataclass(frozen=True)
class SystemCost:
    """Of a trained network, or the sum of several."""

    parameters: int
    megabytes: float
    ms_per_image: float


def cost_of(model: nn.Module, image_size: int, *, sees_images: bool) -> SystemCost:
    """Count and time a network."""
    model, size = model.to("cpu").eval(), image_size if sees_images else 1
    facts = describe(model, size)
    return SystemCost(facts.parameters, facts.megabytes, milliseconds_per_image(model, size))


TITLES = {
    name: {"precision": "Precision", "recall": "Recall"}.get(name) or SCORES[name].title
    for name in ("accuracy", "balanced_accuracy", "auc", "average_precision", "precision", "recall", "f1")
}
"""Scores of the table. Precision, recall and F1: of the positive of two classes at 0.5, else means over the classes."""
WITH_INTERVAL = ("accuracy", "balanced_accuracy", "auc")


@dataclass(frozen=True)
class Scored:
    """Predictions of one system by one protocol; a row that the protocol repeats is here as often."""

    rows: npt.NDArray[np.int64]
    probability: npt.NDArray[np.float64]
    """(rows, columns)."""
    shared_rows: float
    """Share of the scored rows whose very image was learned from."""
    shared_lesions: float
    """The same for its lesion or patient."""
    cost: dict[str, float]
    setting: str
    progress: tuple[dict[str, Any], ...] = ()
    """Epochs of the training of its first part."""

    def figures(self, cohort: Cohort, *, replicates: int, seed: int) -> dict[str, Any]:
        """Scores with 95 % intervals over lesions or patients, cost and setting; JSON-ready."""
        known, probability = known_rows(self.probability)
        rows, probability = self.rows[known], probability[known]
        target, groups = cohort.target[rows], cohort.groups[rows]
        found = all_scores(target, probability) | precision_and_recall(target, probability)
        scores: dict[str, dict[str, float]] = {name: {"estimate": found[name]} for name in TITLES if name in found}
        for name in WITH_INTERVAL:
            if name in scores:
                drawn = replicate_scores(target, probability, groups, score=name, replicates=replicates, seed=seed)
                interval = interval_of(drawn, found[name])
                scores[name] |= {"low": interval.low, "high": interval.high}
        classes = cohort.task.classes
        by_class = np.column_stack([1 - probability, probability]) if probability.ndim == 1 else probability
        together = patient_figures if probability.ndim == 1 else class_figures_by_group
        return {
            "scores": scores,
            "confusion": confusion_matrix(target, by_class).astype(int).tolist(),
            "classes": [one_class(name, target == code, by_class[:, code]) for code, name in enumerate(classes)],
            "together": together(target, probability, groups)
            if len(np.unique(groups)) < len(np.unique(rows))
            else None,
            "progress": list(self.progress),
            "rows": len(rows),
            "images": len(np.unique(rows)),
            "largest_class": float(np.bincount(target).max() / len(target)),
            "shared_rows": self.shared_rows,
            "shared_lesions": self.shared_lesions,
            "cost": self.cost,
            "setting": self.setting,
        }


def one_class(name: str, truth: npt.NDArray[np.bool_], probability: npt.NDArray[np.float64]) -> dict[str, Any]:
    """One class against the rest: rows, AUC and ROC, where there are both."""
    target = truth.astype(np.int64)
    both = 0 < target.sum() < len(target)
    return {
        "name": name,
        "rows": int(target.sum()),
        "auc": ranking.auc(target, probability) if both else None,
        "roc": roc(target, probability) if both else None,
    }


def precision_and_recall(target: npt.NDArray[np.int64], probability: npt.NDArray[np.float64]) -> dict[str, float]:
    """Of the positive class at 0.5, or means over all classes; the precision of a class that nothing is called is 0."""
    two = probability.ndim == 1
    matrix = confusion_matrix(target, np.column_stack([probability < 0.5, probability >= 0.5]) if two else probability)
    right, called, there = np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1)
    classes = slice(1, None) if two else slice(None)
    shares = {"precision": right / np.maximum(called, 1), "recall": right / np.maximum(there, 1)}
    return {name: float(share[classes].mean()) for name, share in shares.items() if there[classes].all()}
