"""The audit as tables for a person."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from pipeline.audit.check import Check
from pipeline.display import Display
from pipeline.printable import printable

COLOURS = {"passed": "green", "failed": "red", "look": "yellow", "not done": "dim"}
SHOWN = 8
"""Rows of a table that only illustrates."""


def show_check(display: Display, check: Check) -> None:
    """Print one finished check: its line, and its table where it has one."""
    status = (f"{check.status:>8}", COLOURS[check.status])
    display.console.print(Text.assemble(status, f"  {check.name}: {printable(check.summary)}"))
    table = {"null test": null_table, "mutations": mutation_table, "drift": drift_table}.get(check.name)
    if table is not None and check.facts:
        display.table(table(check.facts))
    for path in check.facts.get("left_open_by_recipe", ()):
        display.say(f"          open by the recipe: {path}")


def show_summary(display: Display, checks: Sequence[Check]) -> None:
    """Print the verdict."""
    failed = [check.name for check in checks if check.status == "failed"]
    if failed:
        display.console.print(f"[red]the audit failed[/]: {', '.join(failed)}")
    else:
        display.console.print("[green]the audit passed[/]")


def null_table(facts: Mapping[str, Any]) -> Table:
    """Every column under dealt labels."""
    textbook = "" if facts["textbook_chance"] is None else f" (textbook chance {facts['textbook_chance']:g})"
    groups = facts["words"]["groups"]
    table = Table(
        "column", "score", f"95 % over {groups}", "draws", "chance here", "99 % of chance", "sd off", "p",
        title=f"null test: {facts['score']}{textbook}, {facts['draws']} draws, {facts['deals']} deals each; "
        f"false alarms in at most {facts['alarm']:.0%} of tables", title_justify="left",
    )  # fmt: skip
    for column in facts["columns"]:
        draws = column["by_draw"]
        table.add_row(
            column["name"], f"{column['score']:.4f}", f"{column['low']:.4f} to {column['high']:.4f}",
            f"{min(draws):.4f} to {max(draws):.4f}", f"{column['chance']:.4f}",
            f"{column['chance_low']:.4f} to {column['chance_high']:.4f}", f"{column['distance']:+.1f}",
            f"{column['p']:.3f}",
        )  # fmt: skip
    return table


def mutation_table(facts: Mapping[str, Any]) -> Table:
    """Every planted leak and what noticed it."""
    table = Table("planted", "caught by", "first sign", "null test", title="planted leaks", title_justify="left")
    for verdict in facts["verdicts"]:
        sign = verdict["contract"] or (verdict["findings"][0] if verdict["findings"] else "")
        null = ""
        if verdict["null_score"] is not None:
            null = f"{verdict['null_score']:.4f} ({verdict['null_distance']:+.1f} sd)"
        caught = ", ".join(verdict["caught_by"]) or ("nothing" if verdict["right"] else "NOTHING")
        table.add_row(verdict["leak"], caught, shortened(sign), null, style=None if verdict["right"] else "red")
    return table


def drift_table(facts: Mapping[str, Any]) -> Table:
    """Columns that differ most between the tables, weighted by their use to a model."""
    table = Table(
        "column", "stability index", f"KS of {facts['words']['groups']}", "p", "missing", "unseen", "use to tell apart",
        title="columns a model could exploit to tell the tables apart", title_justify="left",
    )  # fmt: skip
    for column in facts["columns"][:SHOWN]:
        table.add_row(
            column["name"], f"{column['stability']:.3f}",
            "" if column["ks"] is None else f"{column['ks']:.3f}", "" if column["p"] is None else f"{column['p']:.3g}",
            f"{column['missing_train']:.1%} / {column['missing_test']:.1%}", str(column["unseen"]),
            f"{column['used']:.0%}",
        )  # fmt: skip
    return table


def shortened(text: str, most: int = 90) -> str:
    """One line of a long message."""
    line = text.splitlines()[0] if text else ""
    return line if len(line) <= most else line[: most - 1] + "…"
