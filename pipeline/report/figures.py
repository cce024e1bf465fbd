"""Everything that the report computes, section by section; kept in metrics.json under `report`."""

from typing import Any

import numpy as np

from pipeline.report.account import account
from pipeline.report.calibration import calibration, decision_curve, recalibrated
from pipeline.report.contribution import correlation, leave_one_out
from pipeline.report.curves import distributions, precision_recall, roc
from pipeline.report.finished import FinishedRun
from pipeline.report.gallery import gallery, hardest
from pipeline.report.groups import MIN_PATIENTS, MIN_POSITIVES, THRESHOLD_SENSITIVITY, by_group
from pipeline.report.importance import study_members
from pipeline.report.networks import networks
from pipeline.report.published import PUBLISHED, PUBLISHED_ON, SOURCE
from pipeline.report.searches import searches
from pipeline.report.workload import flagged, sensitivity_at_specificities, workload_curve
from pipeline.stages.features import training_features


def report_figures(run: FinishedRun) -> dict[str, Any]:
    """Everything that the report computes; a section that does not apply is null."""
    display = run.space.display
    figures: dict[str, Any] = {
        "account": account(run),
        "published": {"source": SOURCE, "rows": list(PUBLISHED)} if applies(run) else None,
        "image_models": networks(run),
        "tuning": searches(run),
        "curves": None, "groups": None, "correlation": None, "leave_one_out": [], "boosters": None, "gallery": None,
    }  # fmt: skip
    if not run.binary:
        return figures
    with display.task("report: curves and groups"):
        figures["curves"] = curve_figures(run)
        figures["groups"] = {
            "min_positives": MIN_POSITIVES, "min_patients": MIN_PATIENTS,
            "threshold_sensitivity": THRESHOLD_SENSITIVITY, "divisions": by_group(run),
        }  # fmt: skip
        figures["correlation"] = correlation(run)
        figures["leave_one_out"] = leave_one_out(run)
    chosen = hardest(run)
    with display.task("report: what the boosters lean on") as progress:
        table = training_features(run.space)
        figures["boosters"], attribution = study_members(run, table, np.concatenate(list(chosen.values())), progress)
    figures["gallery"] = gallery(run, chosen, attribution, table)
    return figures


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
