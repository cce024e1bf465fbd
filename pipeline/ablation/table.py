"""The study in a terminal."""

from typing import Any

from rich.table import Table

from data.scores.repeated import in_words
from data.scores.scores import SCORES
from pipeline.display import Display
from pipeline.report.ablation import PARTS, VERDICTS
from pipeline.report.words import counted
from pipeline.tables import grid


def print_study(display: Display, figures: dict[str, Any]) -> None:
    """A table per sample, the published figures beside the last, and whether the published order shows."""
    parts = [(part, label) for part, label in PARTS.items() if part in figures["samples"]]
    for part in parts:
        display.table(part_table(figures, *part, published=part == parts[-1]), spare=("published*",))
    for row in figures["rows"]:
        if row["absent"]:
            display.say(f"{row['title']}: {row['absent']}")
    for line in order_lines(figures):
        display.say(line)
    if figures["optimistic"]:
        display.say(f"the cross-validated figures are {figures['optimistic']}")
    if figures["synthetic"]:
        display.say("these lesions are synthetic: the figures compare the parts here, not on real skin")


def part_table(figures: dict[str, Any], part: str, label: str, *, published: bool) -> Table:
    """Score and difference from full of every row, on one sample."""
    sample, words = figures["samples"][part], figures["words"]
    table = grid(
        f"What each part brings, {label}: {SCORES[figures['score']].title}\n"
        f"{counted(sample['lesions'], sample['patients'], words)}, {sample['positives']:,} malignant; "
        f"differences on the same drawn {words['groups']}",
        "row",
        figures=("score", "95 %", "from full", "95 %"),
    )
    table.columns[0].min_width = 20
    folds = part == "cross_validated"
    if folds:
        table.add_column("more than the spread of folds?", justify="right")
    published = published and figures["published"] is not None
    if published:
        table.add_column("published*", justify="right")
        table.caption = f"* {figures['published']['source']}, private part"
        table.caption += ": other lesions" if figures["synthetic"] else ""
        table.caption_justify = "left"
    for row in figures["rows"]:
        if row["absent"]:
            continue
        cells = [*two_cells(row[part]["score"], ".4f"), *two_cells(row[part]["difference"], "+.4f")]
        cells += [in_words(row[part]["told_apart"])] if folds else []
        if published:
            found = published_for(figures, row["name"])
            cells.append(f"{found['private']:.5f}" if found else "")
        table.add_row(row["title"], *cells)
    return table


def two_cells(interval: dict[str, float] | None, spec: str) -> tuple[str, str]:
    """Estimate and range, empty where there is none."""
    if interval is None:
        return "", ""
    return f"{interval['estimate']:{spec}}", f"{interval['low']:{spec}} to {interval['high']:{spec}}"


def shown(interval: dict[str, float]) -> str:
    """`+0.0211 (+0.0113 to +0.0320)`."""
    return "{} ({})".format(*two_cells(interval, "+.4f"))


def published_for(figures: dict[str, Any], name: str) -> dict[str, Any] | None:
    """The published figure of the same row."""
    rows = figures["published"]["rows"] if figures["published"] else []
    return next((row for row in rows if row.get("row") == name), None)


def order_lines(figures: dict[str, Any]) -> list[str]:
    """Whether full > metadata only > image only, where that can be said."""
    lines = []
    for key, label in PARTS.items():
        order = figures["order"].get(key)
        if order is None:
            continue
        steps = "; ".join(f"{step['better']} over {step['worse']}: {shown(step['lead'])}" for step in order["steps"])
        lines.append(f"published order (full > metadata only > image only), {label}: {VERDICTS[order['verdict']]}")
        lines.append(f"  {steps}")
    return lines
