"""From a score to a decision: what calibration changed, what thresholds keep, and whether both hold in every group."""

from typing import Any

import numpy as np
import numpy.typing as npt

from data.scores.conformal import SetRule, coverage
from pipeline.columns import read_columns, stacked
from pipeline.decision import Known, stored_decision
from pipeline.plan import not_done
from pipeline.report.finished import FinishedRun, Floats, Ints
from pipeline.report.groups import MIN_PATIENTS, MIN_POSITIVES, REPLICATES, divided
from pipeline.steps.calibration import TABLE, quality

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

    def judged(label: str, rows: Ints) -> dict[str, Any]:
        return group_figures(finished, calibrated, label, rows)

    def covers(label: str, rows: Ints) -> dict[str, Any]:
        return coverage_figures(finished, held, label, rows)

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
        "least": {"rows": MIN_POSITIVES, "groups": MIN_PATIENTS},
        "divisions": [one for one in divided(finished, judged) if one["name"] in DIVISIONS],
        "covered_groups": [] if held is None else [one for one in divided(finished, covers) if one["name"] != "fold"],
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


def group_figures(finished: FinishedRun, calibrated: Floats, label: str, rows: Ints) -> dict[str, Any]:
    """What was stated and what was observed, before and after; of several classes, of the one that is called."""
    target, groups = finished.target[rows], finished.groups[rows]
    given = {"as_given": finished.blend[rows], "calibrated": calibrated[rows]}
    called = finished.blend[rows].argmax(axis=1) if finished.blend.ndim > 1 else None
    happened = target == 1 if called is None else target == called
    positives, negatives = (len(np.unique(groups[one])) for one in (happened, ~happened))
    enough = happened.sum() >= MIN_POSITIVES and min(positives, negatives) >= MIN_PATIENTS
    probabilities = []
    for name, said in given.items():
        stated = said if called is None else said[np.arange(len(rows)), called]
        found = quality(target, said, groups, finished.seed, REPLICATES) if enough else {}
        probabilities.append({"name": name, "mean": float(stated.mean()) if len(rows) else None, **found})
    return {
        "label": label,
        "lesions": len(rows),
        "positives": int(happened.sum()),
        "observed": float(happened.mean()) if len(rows) else None,
        "enough": bool(enough),
        "probabilities": probabilities,
    }


def coverage_figures(finished: FinishedRun, held: Sets, label: str, rows: Ints) -> dict[str, Any]:
    """How often the sets of a group hold the true class, how large they are, and how many are uncertain."""
    assert held is not None
    target = finished.target[rows]
    found = coverage(held[rows], target) if len(rows) else None
    return {
        "label": label,
        "lesions": len(rows),
        "right": None if found is None else float(held[rows, target].mean()),
        "covered": [] if found is None or not finished.binary else list(found.covered),
        "size": None if found is None else found.size,
        "uncertain": None if found is None else found.uncertain,
    }
