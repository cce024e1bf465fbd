"""The comparison in a terminal."""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from data.scores.repeated import in_words
from data.scores.scores import SCORES
from pipeline.ablation.table import two_cells
from pipeline.tables import NAME, print_table

MOST_CHANGES = 12
"""Recipe keys listed per run in a terminal; the page lists all."""


def print_comparison(console: Console, figures: dict[str, Any]) -> None:
    """Scores with differences, cost, and the recipe keys that differ."""
    print_table(console, score_table(figures))
    print_table(console, cost_table(figures))
    for note in figures["notes"]:
        console.print(note, markup=False, style="yellow")
    for one in figures["recipes"]:
        changes = one["changes"]
        console.print(f"recipe of {one['run']} beside {figures['first']}: {len(changes)} keys differ", markup=False)
        for change in changes[:MOST_CHANGES]:
            console.print(f"  {change}", markup=False)
        if len(changes) > MOST_CHANGES:
            console.print(f"  and {len(changes) - MOST_CHANGES} more, all in the page", markup=False)


def score_table(figures: dict[str, Any]) -> Table:
    """Every column of every run, and its difference from the same column of the first run."""
    score = figures["score"]
    table = Table(
        title=f"{SCORES[score].title}, cross-validated, 95 % over {figures['words']['groups']}; "
        f"differences from {figures['first']} on the same drawn {figures['words']['groups']}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("column")
    table.add_column("run", min_width=NAME)
    for heading in ("score", "95 %", f"from {figures['first']}", "95 %"):
        table.add_column(heading, justify="right")
    table.add_column("more than the spread?", justify="right")
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
    table = Table(title="What they took", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("run", "lesions", "columns", "stage one, s", "stage two, s", "finished"):
        table.add_column(heading, justify="left" if heading in ("run", "finished") else "right")
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
