"""Everything that the report computes, section by section; kept in metrics.json under `report`."""

from typing import Any

import numpy as np

from pipeline.report.ablation import study_of
from pipeline.report.account import account
from pipeline.report.calibration import calibration, decision_curve, recalibrated
from pipeline.report.classes import class_figures
from pipeline.report.contribution import agreement, correlation, leave_one_out
from pipeline.report.curves import distributions, precision_recall, roc
from pipeline.report.finished import FinishedRun
from pipeline.report.gallery import gallery, hardest
from pipeline.report.groups import (
    MIN_LESIONS,
    MIN_PATIENTS,
    MIN_POSITIVES,
    THRESHOLD_SENSITIVITY,
    by_group,
    by_group_of_classes,
)
from pipeline.report.importance import study_members
from pipeline.report.networks import networks
from pipeline.report.published import PUBLISHED, PUBLISHED_ON, SOURCE
from pipeline.report.searches import searches
from pipeline.report.workload import flagged, sensitivity_at_specificities, workload_curve
from pipeline.steps.features import training_features


def report_figures(run: FinishedRun) -> dict[str, Any]:
    """Everything that the report computes; a section that does not apply is null."""
    display = run.space.display
    figures: dict[str, Any] = {
        "account": account(run),
        "published": {"source": SOURCE, "rows": list(PUBLISHED)} if applies(run) else None,
        "image_models": networks(run),
        "tuning": searches(run),
        "ablation": study_of(run),
        "curves": None, "groups": None, "correlation": None, "leave_one_out": [], "boosters": None, "gallery": None,
        "classes": None, "class_groups": None, "agreement": None,
    }  # fmt: skip
    if run.binary:
        figures |= two_class_figures(run)
    else:
        figures |= many_class_figures(run)
    chosen = hardest(run)
    with display.task("report: what the boosters lean on") as progress:
        table = training_features(run.space)
        figures["boosters"], attribution = study_members(run, table, np.concatenate(list(chosen.values())), progress)
    figures["gallery"] = gallery(run, chosen, attribution, table)
    return figures


def two_class_figures(run: FinishedRun) -> dict[str, Any]:
    """Curves, groups and likeness of the columns, about the probability of the positive class."""
    with run.space.display.task("report: curves and groups"):
        return {
            "curves": curve_figures(run),
            "groups": {
                "min_positives": MIN_POSITIVES, "min_patients": MIN_PATIENTS,
                "threshold_sensitivity": THRESHOLD_SENSITIVITY, "divisions": by_group(run),
            },
            "correlation": correlation(run),
            "leave_one_out": leave_one_out(run),
        }  # fmt: skip


def many_class_figures(run: FinishedRun) -> dict[str, Any]:
    """The same questions where the call is one of several classes."""
    with run.space.display.task("report: classes and groups"):
        return {
            "classes": class_figures(run),
            "class_groups": {
                "min_lesions": MIN_LESIONS, "min_patients": MIN_PATIENTS, "divisions": by_group_of_classes(run),
            },
            "agreement": agreement(run),
            "leave_one_out": leave_one_out(run),
        }  # fmt: skip


def applies(run: FinishedRun) -> bool:
    """The published figures are about one data set."""
    return run.space.recipe.data.reader == PUBLISHED_ON


def curve_figures(run: FinishedRun) -> dict[str, Any]:
    """Curves of the blend, on the lesions that have a prediction."""
    known = np.isfinite(run.blend)
    target, probability, groups = run.target[known], run.blend[known], run.groups[known]
    again = recalibrated(target, probability, run.fold[known])
    return {
        "lesions": len(target),
        "patients": len(np.unique(groups)),
        "positives": int(target.sum()),
        "roc": roc(target, probability),
        "precision_recall": precision_recall(target, probability),
        "distributions": distributions(target, probability),
        "calibration": calibration(target, probability, again),
        "decision": decision_curve(target, probability, again),
        "specificities": sensitivity_at_specificities(target, probability),
        "flagged": flagged(target, probability, groups, run.seed),
        "workload": workload_curve(target, probability, groups),
    }
