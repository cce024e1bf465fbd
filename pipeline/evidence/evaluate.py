"""`fusionnetx evaluate`: a run's frozen models on other labelled lesions, beside its cross-validated figures."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from data.cohort import Cohort
from data.errors import DataError
from data.predictions import known_rows
from data.scores.scores import UndefinedScoreError, threshold_at_sensitivity
from data.synthetic.stand_in import is_invented
from pipeline.actions.predict import columns_of, finished_plan, warn_of_invented
from pipeline.decision import Decision, Known, decision_of, refuse_name, stored_decision, threshold_figures
from pipeline.evidence.other_data import Elsewhere, OtherData, empty_columns, other_data, without_empty
from pipeline.evidence.run import keep, say_where
from pipeline.evidence.scores import as_figures, drawn_scores, metrics_of, sample_figures
from pipeline.notes import strangers
from pipeline.report.ablation import study_of
from pipeline.report.evidence import FILE
from pipeline.report.groups import THRESHOLD_SENSITIVITY, Judged, divisions_by_column, group_figures, right_calls
from pipeline.report.metrics import scored_by
from pipeline.run import Run
from pipeline.runtime import Runtime
from pipeline.seeds import derive
from pipeline.steps.calibration import quality

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def run_evaluate(run: Run, runtime: Runtime, asked: Elsewhere, name: str | None = None) -> None:
    """Predict, score and keep the figures under the folder's name, or another."""
    name = name or asked.folder.resolve().name
    refuse_name(name)
    finished, decision = finished_plan(run), decision_of(run)
    data = other_data(finished, runtime, decision, asked)
    for note in data.notes:
        runtime.display.warn(note)
    warn_of_invented(run, runtime, asked.folder / "any")
    columns, absent = columns_of(finished, runtime, data.cohort, data.images)
    known = known_rows(columns["blend"])
    if len(np.unique(data.cohort.target[known])) < 2:
        raise DataError(f"{asked.folder}: every lesion with an answer of the models is of one class; scores need two")
    answered = Judged(
        Cohort(data.cohort.table[known], data.cohort.task, True, data.cohort.forbidden, data.cohort.fingerprint),
        columns["blend"][known],
        derive(run.recipe.seed, "evaluate", name),
    )
    found = {
        "name": name,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "synthetic": is_invented(asked.folder),
        "without_image": int(absent.sum()),
        "without_answer": len(absent) - len(known),
        **evaluation_figures(run, decision, answered, data),
        "columns": figures_of_columns(run, data.cohort, columns, answered.seed),
    }
    before = (study_of(run, FILE) or {}).get("evaluations") or []
    keep(run, runtime, data.cohort.task, "evaluations", [*(one for one in before if one["name"] != name), found])
    say_where(run, runtime)


def evaluation_figures(run: Run, decision: Decision, answered: Judged, data: OtherData) -> dict[str, Any]:
    """Scores, calibration, thresholds, groups, and what was missing."""
    target, score, groups = answered.cohort.target, answered.blend, answered.cohort.groups
    metrics = metrics_of(answered.task)
    own = scored_by(run, "tabular/report.json")["scores"]["blend"]
    drawn = drawn_scores(target, score, groups, metrics, answered.seed)
    calibrated = decision.calibrator.apply(score)
    known = Known(target, score, groups, np.zeros(len(target), dtype=np.int64))
    return {
        "fingerprint": data.cohort.fingerprint,
        "sample": sample_figures(target, groups),
        "metrics": list(metrics),
        "scores": {metric: as_figures(drawn.get(metric)) for metric in metrics},
        "own": {metric: own.get(metric) for metric in metrics},
        "calibration": {
            "as_given": quality(target, score, groups, answered.seed),
            "calibrated": quality(target, calibrated, groups, answered.seed),
            "own": stored_decision(run)["calibrated"],
        },
        "thresholds": [
            threshold_figures(one, decision.calibrator, known, one.apply(score) if one.threshold is not None else None)
            for one in decision.thresholds
            if score.ndim == 1
        ],
        "groups": groups_of(answered),
        "missing": empty_columns(data),
        "notes": list(strangers(answered.cohort, decision.seen)),
    }


def figures_of_columns(run: Run, cohort: Cohort, columns: dict[str, Floats], seed: int) -> list[dict[str, Any]]:
    """What each image model and each member says alone, there and cross-validated."""
    metrics = tuple(dict.fromkeys((cohort.task.score, "auc")))
    own = {**(scored_by(run, "oof/report.json")["scores"] if run.recipe.image_models else {})}
    own |= scored_by(run, "tabular/report.json")["scores"]
    found = []
    for name, column in columns.items():
        known = known_rows(column)
        drawn = drawn_scores(cohort.target[known], column[known], cohort.groups[known], metrics, seed)
        scores = {metric: as_figures(drawn.get(metric)) for metric in metrics}
        own_scores = {metric: own.get(name, {}).get(metric) for metric in metrics}
        found.append({"name": name, "lesions": len(known), "scores": scores, "own": own_scores})
    return found


def groups_of(answered: Judged) -> list[dict[str, Any]]:
    """Scores by site, age, sex, skin tone, clinic and size, as far as the columns are there."""
    frame = without_empty(answered.cohort).table
    figures: Callable[[str, Ints], dict[str, Any]]
    if answered.blend.ndim == 1:
        try:
            threshold = threshold_at_sensitivity(answered.cohort.target, answered.blend, THRESHOLD_SENSITIVITY)
        except UndefinedScoreError:
            return []
        figures = lambda label, rows: group_figures(answered, label, rows, threshold)  # noqa: E731
    else:
        figures = lambda label, rows: right_calls(answered, label, rows)  # noqa: E731
    return [
        {"name": name, "title": title, "groups": [figures(str(one), np.flatnonzero(values == one)) for one in labels]}
        for name, title, labels, values in divisions_by_column(frame)
    ]
