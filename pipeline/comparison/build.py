"""`fusionnetx compare`: print runs side by side, write a self-contained page, and its figures as JSON."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from data.errors import DataError
from data.files import write_json, write_text
from data.scores.repeated import in_words
from data.scores.scores import SCORES
from pipeline.ablation.table import two_cells
from pipeline.comparison.figures import comparison_figures
from pipeline.comparison.sides import distinct, open_side
from pipeline.printable import printable
from pipeline.report.forest import Mark, Marks, forest
from pipeline.report.page import render
from pipeline.report.svg import Plot
from pipeline.runtime import Runtime
from pipeline.tables import NAME, grid, print_table

MOST_CHANGES = 12
"""Recipe keys listed per run in a terminal; the page lists all."""


def print_comparison(console: Console, figures: dict[str, Any]) -> None:
    """Scores with differences, cost, and the recipe keys that differ."""
    print_table(console, score_table(figures))
    print_table(console, cost_table(figures))
    for note in figures["notes"]:
        console.print(printable(note), markup=False, style="yellow")
    for one in figures["recipes"]:
        changes = one["changes"]
        title = f"recipe of {one['run']} beside {figures['first']}: {len(changes)} keys differ"
        console.print(printable(title), markup=False)
        for change in changes[:MOST_CHANGES]:
            console.print(f"  {printable(change)}", markup=False)
        if len(changes) > MOST_CHANGES:
            console.print(f"  and {len(changes) - MOST_CHANGES} more, all in the page", markup=False)


def score_table(figures: dict[str, Any]) -> Table:
    """Every column of every run, and its difference from the same column of the first run."""
    score = figures["score"]
    table = grid(
        f"{SCORES[score].title}, cross-validated, 95 % over {figures['words']['groups']}; "
        f"differences from {figures['first']} on the same drawn {figures['words']['groups']}",
        "column",
        "run",
        figures=("score", "95 %", f"from {figures['first']}", "95 %", "more than the spread?"),
    )
    table.columns[1].min_width = NAME
    leads = {(one["column"], one["run"]): one["cross_validated"] for one in figures["differences"]}
    apart = {(one["column"], one["run"]): one["told_apart"] for one in figures["differences"]}
    for name in column_names(figures):
        for run in figures["runs"]:
            found = next((one["scores"] for one in run["columns"] if one["column"] == name), None)
            if found is None:
                continue
            own = found.get(run["score"])
            estimate = own if own is None or "low" in own else {**own, "low": own["estimate"], "high": own["estimate"]}
            lead = leads.get((name, run["run"]))
            table.add_row(
                name,
                run["run"],
                *two_cells(estimate, ".4f"),
                *two_cells(lead, "+.4f"),
                in_words(apart.get((name, run["run"]))),
            )
        table.add_section()
    return table


def cost_table(figures: dict[str, Any]) -> Table:
    """What each run is about and what it took."""
    table = grid("What they took", "run", figures=("lesions", "columns", "stage one, s", "stage two, s"))
    table.add_column("finished")
    for run in figures["runs"]:
        seconds = run["seconds"]
        table.add_row(
            run["run"], f"{run['lesions']:,}", str(len(run["columns"])), f"{seconds['stage_one']:,.0f}",
            f"{seconds['stage_two']:,.0f}", str(run["finished"] or "")[:16].replace("T", " "),
        )  # fmt: skip
    return table


def column_names(figures: dict[str, Any]) -> list[str]:
    """Columns of all runs, in the order they first appear."""
    return list(dict.fromkeys(one["column"] for run in figures["runs"] for one in run["columns"]))


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
