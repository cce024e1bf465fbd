"""The ablation study in the report: ablation.json as the study left it, if it is about this run as it is now."""

from typing import Any

from data.files import read_json
from data.scores.scores import SCORES
from pipeline.report.finished import FinishedRun
from pipeline.report.forest import Forest, Mark, axis_over
from pipeline.run import Step
from pipeline.workspace import Workspace

FILE = "ablation.json"
PARTS = {"cross_validated": "cross-validated", "hidden_test": "hidden demo test"}
VERDICTS = {
    "holds": "holds: both steps are above 0 over patients",
    "leaning": "shows in the estimates, but the interval of a step reaches 0: these lesions cannot settle it",
    "does not hold": "does not hold here",
}
"""Whether the published order of full, metadata only and image only shows in these lesions."""


def study_of(run: FinishedRun) -> dict[str, Any] | None:
    """The figures of the study; None without one, or when the run has changed since."""
    path = run.space.run_dir / FILE
    try:
        figures = read_json(path)
    except (OSError, ValueError):
        return None
    return figures if isinstance(figures, dict) and figures.get("of") == state_of(run.space) else None


def state_of(space: Workspace) -> str:
    """Checksum of the columns that a study is about."""
    return Step("blend", space.run_dir / "tabular", {}).checksum("oof.parquet")


def study_plot(figures: dict[str, Any]) -> Forest:
    """How far each row is from the full run."""
    parts = [part for part in PARTS if part in figures["samples"]]
    rows = []
    for row in figures["rows"]:
        marks = [
            Mark(found["low"], found["estimate"], found["high"], PARTS[part], place + 1)
            for place, part in enumerate(parts)
            if (found := row[part]["difference"]) is not None
        ]
        if marks:
            rows.append((row["title"], marks))
    counts = "; ".join(
        f"{PARTS[part]}: n = {one['lesions']:,} lesions of {one['patients']:,} patients, {one['positives']:,} malignant"
        for part in parts
        for one in [figures["samples"][part]]
    )
    title = SCORES[figures["score"]].title
    return Forest(
        "Difference from the full run",
        f"{counts}; bars: 95 % over patients, the same drawn patients for both",
        "Left of the line a row scores less than the full run. "
        + "; ".join(f"{name} {marks[-1].estimate:+.4f}" for name, marks in rows)
        + ".",
        axis_over(f"{title}: row less full", [mark for _, marks in rows for mark in marks], keep=0.0),
        rows,
        "/report/ablation/rows",
        reference=0.0,
        anchor="ablation",
    )
