"""metrics.json: every figure of a run in one file, for programs. The HTML report shows these and no others.

The stages' scores are there as soon as a submission is; the report adds what it had to compute under `report`.
"""

from typing import Any

import numpy as np

from data.errors import DataError
from data.files import read_object, write_json
from pipeline.inputs import Inputs
from pipeline.run import Run
from pipeline.scoring import CHANCE
from pipeline.step_reports import read_step_report

FILE = "metrics.json"
SUBMISSION = "submission.json"
PARTS = ("public", "private", "all")
"""Of the demo's hidden test."""
BEST = {"pauc": 0.2}
"""What a perfect ranking scores, where it is not 1."""


def stage_figures(inputs: Inputs) -> dict[str, Any]:
    """The scores that the stages reported, with what they are about."""
    train, test, run = inputs.data.train, inputs.data.test, inputs.run
    stage_one = scored_by(run, "oof/report.json") if run.recipe.image_models else {"scores": {}}
    stage_two = scored_by(run, "tabular/report.json")
    submission = scored_by(run, SUBMISSION) if (run.folder / SUBMISSION).exists() else {}
    hidden = submission.get("scores")
    if hidden is not None and not all(isinstance(hidden.get(part), dict) for part in PARTS):
        raise unusable(run, SUBMISSION)
    return {
        "score": train.task.score,
        "chance": CHANCE.get(train.task.score),
        "best": BEST.get(train.task.score, 1.0),
        "synthetic": run.invented,
        "optimistic": run.recipe.tabular.optimistic,
        "recipe": run.recipe.description,
        "submission": submission.get("fingerprint"),
        "cohort": {
            "lesions": len(train.ids),
            "patients": len(np.unique(train.groups)),
            "positives": int(train.target.sum()) if len(train.task.classes) == 2 else None,
            "test_lesions": 0 if test is None else len(test.ids),
        },
        "cross_validated": {"image_models": stage_one["scores"], "members": stage_two["scores"]},
        "test": hidden,
    }


def scored_by(run: Run, name: str) -> dict[str, Any]:
    """The report of a step that scores; DataError where it cannot be used."""
    report = read_step_report(run.folder / name)
    if report is None or "scores" not in report:
        raise unusable(run, name)
    return report


def unusable(run: Run, name: str) -> DataError:
    """What is said of a report that does not hold what it must."""
    return DataError(
        f"{run.folder / name} is missing or damaged; delete it, and `fusionnetx submission --run {run.folder}` makes "
        "it anew"
    )


def refresh_metrics(inputs: Inputs) -> dict[str, Any]:
    """Bring metrics.json up to date with the stages; what a report added stays while its submission does."""
    path = inputs.run.folder / FILE
    figures = stage_figures(inputs)
    # It can always be made again.
    before = read_object(path) or {}
    if "report" in before and {**before, "report": None} == {**figures, "report": None}:
        return before
    if before != figures:
        write_json(path, figures)
    return figures
