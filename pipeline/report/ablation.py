"""The ablation study in the report: ablation.json as the study left it, if it is about this run as it is now."""

from typing import Any

from data.files import read_object
from data.scores.scores import SCORES
from pipeline.report.forest import Mark, Marks, forest
from pipeline.report.svg import Plot
from pipeline.report.words import counted
from pipeline.run import Run
from pipeline.step_reports import read_step_report

FILE = "ablation.json"
PARTS = {"cross_validated": "cross-validated", "hidden_test": "hidden demo test"}
VERDICTS = {
    "holds": "holds: the intervals of both steps are above 0",
    "leaning": "shows in the estimates, but the interval of a step reaches 0: these lesions cannot settle it",
    "does not hold": "does not hold here",
}
"""Whether the published order of full, metadata only and image only shows in these lesions."""


def study_of(run: Run, file: str = FILE) -> dict[str, Any] | None:
    """What a study of a run left in its folder; None without one, or when the run has changed since."""
    figures = read_object(run.folder / file)
    return figures if figures is not None and figures.get("of") == state_of(run) else None


def state_of(run: Run) -> str:
    """Checksum of the columns that a study is about; empty before there are any."""
    report = read_step_report(run.folder / "tabular" / "report.json") or {"artefacts": {}}
    return str(report["artefacts"].get("oof.parquet", {}).get("sha256", ""))


def study_plot(figures: dict[str, Any], words: dict[str, str]) -> Plot:
    """How far each row is from the full run."""
    parts = {part: label for part, label in PARTS.items() if part in figures["samples"]}
    rows = Marks([(row["title"], Mark.each(row, parts, "difference")) for row in figures["rows"]])
    counts = "; ".join(
        f"{label}: n = {counted(sample['lesions'], sample['patients'], words)}, {sample['positives']:,} malignant"
        for part, label in parts.items()
        for sample in [figures["samples"][part]]
    )
    return forest(
        "Difference from the full run",
        f"{counts}; bars: 95 % over {words['groups']}, the same drawn {words['groups']} for both",
        "Left of the line a row scores less than the full run. " + rows.in_words("+.4f"),
        f"{SCORES[figures['score']].title}: row less full",
        rows,
        "/report/ablation/rows",
        reference=0.0,
    )
