"""What a clinic asks: how many lesions must be looked at, per patient, to miss no more than so many malignant ones."""

from typing import Any

import numpy as np
import numpy.typing as npt

from data.scores.intervals import drawn_patients, interval_of, times_drawn
from data.scores.scores import roc_points, threshold_at_sensitivity
from pipeline.report.curves import rounded
from pipeline.report.finished import Floats, Ints

SENSITIVITIES = (0.80, 0.90, 0.95)
SPECIFICITIES = (0.80, 0.90, 0.95, 0.98, 0.99)
REPLICATES = 300


def sensitivity_at_specificities(target: Ints, probability: Floats) -> list[dict[str, float]]:
    """Highest sensitivity that keeps at least so many benign lesions unflagged."""
    false_positive_rate, sensitivity, _ = roc_points(target, probability)
    # 1 - 0.95 is a little more or less than 0.05; a benign lesion is not let through or refused for that.
    return [
        {"specificity": wanted, "sensitivity": float(sensitivity[false_positive_rate <= 1.0 - wanted + 1e-12].max())}
        for wanted in SPECIFICITIES
    ]


def flagged(target: Ints, probability: Floats, groups: npt.NDArray[Any], seed: int) -> list[dict[str, Any]]:
    """Lesions flagged in all and per patient at fixed sensitivities."""
    _, patient = np.unique(groups, return_inverse=True)
    lesions_of = np.bincount(patient)
    result = []
    for sensitivity in SENSITIVITIES:
        threshold = threshold_at_sensitivity(target, probability, sensitivity)
        called = probability >= threshold
        per_patient = np.bincount(patient[called], minlength=len(lesions_of))
        replicates = replicated_per_patient(target, probability, patient.astype(np.int64), sensitivity, seed)
        found = int(target[called].sum())
        result.append(
            {
                "sensitivity": sensitivity,
                "threshold": threshold,
                "flagged": int(called.sum()),
                "found": found,
                "flagged_share": float(called.mean()),
                "per_patient_mean": interval_of(replicates, float(per_patient.mean())).figures,
                "per_patient_median": float(np.median(per_patient)),
                "per_patient_ninth_decile": float(np.quantile(per_patient, 0.9)),
                "patients_with_none": int(np.count_nonzero(per_patient == 0)),
                "flagged_per_found": int(called.sum()) / found,
            }
        )
    return result


def replicated_per_patient(target: Ints, probability: Floats, patient: Ints, sensitivity: float, seed: int) -> Floats:
    """Flagged lesions per patient on drawn patients, each draw by its own threshold; NaN without positives."""
    order = np.argsort(-probability, kind="stable")
    positive, of_patient = (target[order] == 1).astype(np.float64), patient[order]
    # A threshold cannot part lesions of one score, so counts are read where a score ends.
    ends = np.append(np.flatnonzero(np.diff(probability[order])), len(order) - 1)
    scores: list[float] = []
    n_patients = int(patient.max()) + 1
    for block in drawn_patients(n_patients, REPLICATES, seed):
        for times in times_drawn(block):
            weight = times[of_patient].astype(np.float64)
            found = np.cumsum(weight * positive)[ends]
            if found[-1] == 0:
                scores.append(float("nan"))
                continue
            place = int(np.searchsorted(found, sensitivity * found[-1] * (1 - 1e-12)))
            scores.append(float(np.cumsum(weight)[ends][place] / n_patients))
    return np.array(scores)


def workload_curve(target: Ints, probability: Floats, groups: npt.NDArray[Any]) -> dict[str, list[float]]:
    """Lesions flagged per patient at every sensitivity from one half up."""
    false_positive_rate, sensitivity, _ = roc_points(target, probability)
    positives, patients = int(target.sum()), len(np.unique(groups))
    called = sensitivity * positives + false_positive_rate * (len(target) - positives)
    wanted = np.linspace(0.5, 1.0, 51)
    place = np.searchsorted(sensitivity, wanted * (1 - 1e-12))
    return {"sensitivity": rounded(wanted), "flagged_per_patient": rounded(called[place] / patients)}
