"""From a score to a decision: what calibration changed, what thresholds keep, and whether both hold in every group."""

from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from data.scores.calibration_line import calibration_line
from data.scores.conformal import SetRule, coverage
from pipeline.columns import read_columns, stacked
from pipeline.decision import Known, stored_decision
from pipeline.plan import not_done
from pipeline.report.finished import FinishedRun, Floats, Ints
from pipeline.report.groups import MIN_PATIENTS, MIN_POSITIVES, divided
from pipeline.steps.calibration import TABLE

DIVISIONS = ("attribution", "skin_tone")
"""Where calibration is known to break: another camera and another way of choosing patients; another skin."""
Sets = npt.NDArray[np.bool_] | None


def decision_figures(finished: FinishedRun) -> dict[str, Any] | None:
    """What the run's calibration says of itself, and of groups; None where the run has none that holds."""
    step = finished.plan["calibration",]
    if not_done((step,)):
        return None
    stored = stored_decision(finished.inputs.run)
    rule = SetRule.from_json(stored["sets"])
    calibrated = stacked(read_columns(step.folder / TABLE, finished.ids), "blend")
    held = sets_apart(finished, rule.level)
    covered = stored["sets"]["coverage"]
    return {
        "method": stored["calibrator"]["method"],
        "quality": {name: stored[name] for name in ("as_given", "calibrated")},
        "thresholds": stored["thresholds"],
        "level": rule.level,
        "coverage": covered
        and {
            **covered,
            "covered": [
                {"name": name, "covered": share}
                for name, share in zip(finished.task.classes, covered["covered"], strict=True)
            ],
        },
        "divisions": groups_of(finished, calibrated, held) if finished.binary else [],
    }


def sets_apart(finished: FinishedRun, level: float) -> Sets:
    """The sets of all lesions by rules of the other folds; none of a lesion without a score."""
    known = finished.known_rows
    lesions = Known(finished.target[known], finished.blend[known], finished.groups[known], finished.fold[known])
    found = lesions.sets_apart(level)
    if found is None:
        return None
    held = np.zeros((len(finished.target), found.shape[1]), dtype=np.bool_)
    held[known] = found
    return held


def groups_of(finished: FinishedRun, calibrated: Floats, held: Sets) -> list[dict[str, Any]]:
    """The same questions by institution and skin tone."""
    found = divided(finished, lambda label, rows: group_figures(finished, calibrated, held, label, rows))
    return [division for division in found if division["name"] in DIVISIONS]


def group_figures(finished: FinishedRun, calibrated: Floats, held: Sets, label: str, rows: Ints) -> dict[str, Any]:
    """Counts, what was stated and what was observed, and how often the sets hold the true class."""
    target, groups = finished.target[rows], finished.groups[rows]
    positives = int(target.sum())
    enough = positives >= MIN_POSITIVES and len(np.unique(groups[target == 1])) >= MIN_PATIENTS
    sets = coverage(held[rows], target) if held is not None and len(rows) else None
    line = calibration_line(target, calibrated[rows], groups) if enough else None
    return {
        "label": label,
        "lesions": len(rows),
        "positives": positives,
        "observed": float(target.mean()) if len(rows) else None,
        "as_given": float(finished.blend[rows].mean()) if len(rows) else None,
        "calibrated": float(calibrated[rows].mean()) if len(rows) else None,
        "slope": None if line is None else asdict(line.slope),
        "intercept": None if line is None else asdict(line.intercept),
        "covered": [None, None] if sets is None else list(sets.covered),
        "uncertain": None if sets is None else sets.uncertain,
    }
