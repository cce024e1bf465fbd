"""Everything that the report computes, section by section; kept in metrics.json under `report`."""

from typing import Any

import numpy as np

from pipeline.report.ablation import study_of
from pipeline.report.account import account
from pipeline.report.calibration import calibration, decision_curve, recalibrated
from pipeline.report.classes import class_figures
from pipeline.report.contribution import agreement, correlation, leave_one_out
from pipeline.report.curves import distributions, precision_recall, roc
from pipeline.report.decision import decision_figures
from pipeline.report.evidence import FILE as EVIDENCE
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
from pipeline.report.patients import patient_figures
from pipeline.report.published import PUBLISHED, PUBLISHED_ON, SOURCE
from pipeline.report.searches import searches
from pipeline.report.workload import flagged, sensitivity_at_specificities, workload_curve
from pipeline.stage_two import training_features


def report_figures(finished: FinishedRun) -> dict[str, Any]:
    """Everything that the report computes; a section that does not apply is null."""
    published = finished.recipe.data.reader == PUBLISHED_ON
    figures: dict[str, Any] = {
        "account": account(finished),
        "quality": quality_figures(finished),
        "published": {"source": SOURCE, "rows": list(PUBLISHED)} if published else None,
        "image_models": networks(finished),
        "tuning": searches(finished.plan),
        "ablation": study_of(finished.inputs.run),
        "evidence": study_of(finished.inputs.run, EVIDENCE),
        **dict.fromkeys(("curves", "groups", "correlation", "leave_one_out", "boosters", "gallery")),
        **dict.fromkeys(("classes", "class_groups", "agreement")),
        # Class weights shift probabilities as copies do, but nothing is drawn again.
        "resampled": (method := finished.recipe.tabular.resample.method) not in ("none", "class_weights"),
        "weighted": method == "class_weights",
        "words": finished.task.words,
        "decision": decision_figures(finished),
    }
    of_task = two_class_figures if finished.binary else many_class_figures
    with finished.display.task(f"report: {'curves' if finished.binary else 'classes'} and groups"):
        figures |= of_task(finished) | {"leave_one_out": leave_one_out(finished)}
    chosen = hardest(finished)
    with finished.display.task("report: what the boosters lean on") as progress:
        table = training_features(finished.inputs, finished.runtime, finished.plan.images)
        every = np.concatenate(list(chosen.values()))
        figures["boosters"], attribution = study_members(finished, table, every, progress)
    figures["gallery"] = gallery(finished, chosen, attribution, table)
    return figures


def two_class_figures(finished: FinishedRun) -> dict[str, Any]:
    """Curves, groups and likeness of the columns, about the probability of the positive class."""
    return {
        "curves": curve_figures(finished),
        "groups": {
            "min_positives": MIN_POSITIVES,
            "min_patients": MIN_PATIENTS,
            "threshold_sensitivity": THRESHOLD_SENSITIVITY,
            "divisions": by_group(finished),
        },
        "correlation": correlation(finished),
    }


def many_class_figures(finished: FinishedRun) -> dict[str, Any]:
    """The same questions where the call is one of several classes."""
    return {
        "classes": class_figures(finished),
        "class_groups": {
            "min_lesions": MIN_LESIONS,
            "min_patients": MIN_PATIENTS,
            "divisions": by_group_of_classes(finished),
        },
        "agreement": agreement(finished),
    }


def curve_figures(finished: FinishedRun) -> dict[str, Any]:
    """Curves of the blend, on the lesions that have a prediction."""
    target, probability, groups = finished.scored()
    again = recalibrated(target, probability, finished.fold[finished.known_rows])
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
        "flagged": flagged(target, probability, groups, finished.seed),
        "workload": workload_curve(target, probability, groups),
        "by_patient": patient_figures(target, probability, groups) if len(np.unique(groups)) < len(groups) else None,
    }


def quality_figures(finished: FinishedRun) -> dict[str, Any]:
    """Shares of missing values, largest first, and lesions of which networks that see images said nothing."""
    train, table = finished.inputs.data.train, finished.table
    columns = [name for name in table.columns if name not in {*train.forbidden, train.task.target}]
    shares = {name: table[name].null_count() / table.height for name in columns}
    seeing = [model.name for model in finished.recipe.image_models if model.backbone != "none"]
    silent = [np.isnan(finished.image_columns[name].reshape(table.height, -1)).any(axis=1) for name in seeing]
    return {
        "lesions": table.height,
        "columns": len(columns),
        "missing": [
            {"column": name, "share": share} for name, share in sorted(shares.items(), key=lambda one: -one[1]) if share
        ],
        "missing_share": float(np.mean(list(shares.values()))),
        "without_image": int(np.any(silent, axis=0).sum()) if seeing else None,
    }
