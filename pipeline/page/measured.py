"""What a threshold means: how many lesions and patients lie above it, and what the run measured there out of fold."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data.scores.ranking import UndefinedScoreError, roc_points
from pipeline.decision import Decision, percent

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
STEPS = 160
"""Places of the threshold control; spread evenly over the logarithm of how many lesions lie above."""


@dataclass(frozen=True)
class Measured:
    """The curve of the training lesions, scored by models that did not see them."""

    false_positive_rate: Floats
    sensitivity: Floats
    threshold: Floats
    """From infinity down."""
    positives: int
    negatives: int

    @staticmethod
    def of(target: Ints, score: Floats) -> "Measured | None":
        """From lesions whose answer is known; None where one class is absent."""
        known = np.isfinite(score)
        try:
            points = roc_points(target[known], score[known])
        except UndefinedScoreError:
            return None
        positives = int(target[known].sum())
        return Measured(*points, positives, int(known.sum()) - positives)

    def at(self, threshold: float) -> dict[str, float | None]:
        """Sensitivity over lesions, specificity, and lesions looked at for each malignant one found."""
        place = int(np.searchsorted(-self.threshold, -threshold, side="right")) - 1
        share, false = float(self.sensitivity[place]), float(self.false_positive_rate[place])
        found = share * self.positives
        return {
            "sensitivity": share,
            "specificity": 1.0 - false,
            "nnt": (found + false * self.negatives) / found if found else None,
        }


def levels(
    score: Floats, best_of_patient: Floats, decision: Decision, measured: Measured | None
) -> list[dict[str, Any]]:
    """The places of the threshold control, the strictest first; the run's kept thresholds are among them."""
    known = np.sort(score[np.isfinite(score)])[::-1]
    best = np.sort(best_of_patient[np.isfinite(best_of_patient)])
    if not len(known):
        return []
    counts = np.unique(np.geomspace(1, len(known), STEPS).round().astype(np.int64))
    kept = {one.threshold: percent(one.target) for one in decision.thresholds if one.threshold is not None}
    thresholds = np.unique(np.concatenate([known[counts - 1], np.array(list(kept), dtype=np.float64)]))[::-1]
    above = len(known) - np.searchsorted(known[::-1], thresholds, side="left")
    patients = len(best) - np.searchsorted(best, thresholds, side="left")
    return [
        {
            "score": float(threshold),
            "lesions": int(lesions),
            "patients": int(several),
            "kept": kept.get(float(threshold)),
            **({} if measured is None else measured.at(float(threshold))),
        }
        for threshold, lesions, several in zip(thresholds, above, patients, strict=True)
    ]
