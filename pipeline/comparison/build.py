"""`fusionnetx compare`: print runs side by side, write a self-contained page, and its figures as JSON."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data.errors import DataError
from data.files import write_json, write_text
from data.scores.scores import SCORES
from pipeline.comparison.figures import comparison_figures
from pipeline.comparison.sides import distinct, open_side
from pipeline.comparison.table import column_names, print_comparison
from pipeline.report.forest import Mark, Marks, forest
from pipeline.report.page import render
from pipeline.report.svg import Plot
from pipeline.runtime import Runtime


def run_compare(runs: Sequence[str], data_dir: Path | None, out: Path, runtime: Runtime) -> None:
    """Compare runs by name or path; the first is what the others are compared with.

    Each run says where its lesions are; `data_dir` is for those whose lesions were moved.
    """
    if len(runs) < 2:
        raise DataError("compare needs two runs or more, for instance `fusionnetx compare demo first_try`")
    doubled = sorted({run for run in runs if list(runs).count(run) > 1})
    if doubled:
        raise DataError(f"run {doubled[0]} is named twice; name each run once")
    if out.suffix != ".html":
        raise DataError(f"--out {out} must end in .html; the figures go beside it as .json")
    display = runtime.display
    with display.listening():
        sides = distinct([open_side(run, data_dir, runtime) for run in runs])
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
        json_name=json_name,
        plots=[plot for plot in (score_plot(figures), difference_plot(figures)) if plot],
    )


def score_plot(figures: dict[str, Any]) -> Plot | None:
    """The blend of every run."""
    own = [(run["run"], run["columns"][0]["scores"].get(figures["score"], {})) for run in figures["runs"]]
    marks = Marks([(name, Mark.each({"": found}, {"": ""})) for name, found in own if "low" in found])
    if not marks.rows:
        return None
    words, counts = figures["words"], ", ".join(f"{run['lesions']:,}" for run in figures["runs"])
    return forest(
        "The blend of every run, cross-validated",
        f"n = {counts} {words['rows']}; bars: 95 % over {words['groups']}",
        marks.in_words(".4f"),
        SCORES[figures["score"]].title,
        marks,
        "/runs",
    )


def difference_plot(figures: dict[str, Any]) -> Plot | None:
    """How far each column is from that of the first run."""
    parts = {"cross_validated": "cross-validated", "hidden_test": "hidden demo test"}
    marks = Marks([(f"{one['run']}: {one['column']}", Mark.each(one, parts)) for one in figures["differences"]])
    if not marks.rows:
        return None
    words = figures["words"]
    return forest(
        f"Difference from {figures['first']}",
        f"n = {figures['runs'][0]['lesions']:,} {words['rows']}; the same drawn {words['groups']} for both; bars: 95 %",
        marks.in_words("+.4f"),
        f"run less {figures['first']}",
        marks,
        "/differences",
        reference=0.0,
    )
