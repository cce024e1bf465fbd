"""`fusionnetx compare`: print runs side by side, write a self-contained page, and its figures as JSON."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from data.errors import DataError
from data.files import write_json, write_text
from data.scores.scores import SCORES
from pipeline.comparison.figures import comparison_figures
from pipeline.comparison.sides import distinct, open_side
from pipeline.comparison.table import column_names, print_comparison
from pipeline.display import Display
from pipeline.report.forest import Forest, Mark, axis_over
from pipeline.report.page import render


def run_compare(runs: Sequence[str], data_dir: Path | None, out: Path, console: Console | None = None) -> None:
    """Compare run folders; the first is what the others are compared with."""
    if len(runs) < 2:
        raise DataError("compare needs two runs or more, for instance `fusionnetx compare demo first_try`")
    doubled = sorted({run for run in runs if list(runs).count(run) > 1})
    if doubled:
        raise DataError(f"run {doubled[0]} is named twice; name each run once")
    if out.suffix != ".html":
        raise DataError(f"--out {out} must end in .html; the figures go beside it as .json")
    display = Display(console)
    with display.listening():
        sides = distinct([open_side(run, data_dir) for run in runs])
        with display.task("paired differences") as progress:
            figures = comparison_figures(sides, progress)
    print_comparison(display.console, figures)
    write_json(out.with_suffix(".json"), figures)
    write_text(out, comparison_page(figures, out.with_suffix(".json").name))
    display.say(f"wrote {out} and the same figures to {out.with_suffix('.json')}")


def comparison_page(figures: dict[str, Any], json_name: str) -> str:
    """The page, drawn from the figures alone."""
    return render(
        "compare.html",
        figures,
        columns=column_names(figures),
        score_title=SCORES[figures["score"]].title,
        json_name=json_name,
        plots=[plot for plot in (score_plot(figures), difference_plot(figures)) if plot],
    )


def score_plot(figures: dict[str, Any]) -> Forest | None:
    """The blend of every run."""
    rows = [
        (run["run"], [Mark(found["low"], found["estimate"], found["high"], "", 1)])
        for run in figures["runs"]
        if "low" in (found := run["columns"][0]["scores"].get(figures["score"], {}))
    ]
    if not rows:
        return None
    return Forest(
        "The blend of every run, cross-validated",
        "n = " + ", ".join(f"{run['lesions']:,}" for run in figures["runs"]) + " lesions; bars: 95 % over patients",
        "; ".join(f"{name} {marks[0].estimate:.4f}" for name, marks in rows) + ".",
        axis_over(SCORES[figures["score"]].title, [marks[0] for _, marks in rows]),
        rows,
        "/runs",
        anchor="scores",
    )


def difference_plot(figures: dict[str, Any]) -> Forest | None:
    """How far each column is from that of the first run."""
    parts = (("cross_validated", "cross-validated"), ("hidden_test", "hidden demo test"))
    rows = []
    for one in figures["differences"]:
        marks = [
            Mark(one[part]["low"], one[part]["estimate"], one[part]["high"], label, place + 1)
            for place, (part, label) in enumerate(parts)
            if one[part] is not None
        ]
        if marks:
            rows.append((f"{one['run']}: {one['column']}", marks))
    if not rows:
        return None
    return Forest(
        f"Difference from {figures['first']}",
        f"n = {figures['runs'][0]['lesions']:,} lesions; the same drawn patients for both; bars: 95 %",
        "; ".join(f"{name} {marks[0].estimate:+.4f}" for name, marks in rows) + ".",
        axis_over(f"run less {figures['first']}", [mark for _, marks in rows for mark in marks], keep=0.0),
        rows,
        "/differences",
        reference=0.0,
        anchor="differences",
    )
