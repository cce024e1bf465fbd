"""The comparison as a table: in the terminal and as markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from pipeline import tables
from pipeline.scoring import NOTHING, interval
from research.systems.scored import TITLES

Cells = tuple[list[str], list[list[str]]]


def main_score(result: Mapping[str, Any]) -> str:
    """The score that the authors report first, else accuracy."""
    return next(iter(result["published"]), "accuracy")


def published_cell(result: Mapping[str, Any], data_set: str) -> str:
    """`0.952`; of a figure that belongs to other data, also which."""
    stated = result["published"].get(main_score(result))
    if stated is None:
        return NOTHING
    return f"{stated:.3f}" + ("" if result["published_on"] == data_set else f" on {result['published_on']}")


def summary_cells(figures: Mapping[str, Any]) -> Cells:
    """One row per system: the authors' figure, ours by both protocols, and what the network costs."""
    heading = ["system", "score", "published", "ours, published protocol", "ours, sound protocol", "parameters",
               "MB", "ms/image", "s/epoch"]  # fmt: skip
    rows = []
    for name in dict.fromkeys(result["system"] for result in figures["results"]):
        by = {result["protocol"]: result for result in figures["results"] if result["system"] == name}
        any_one = next(iter(by.values()))
        score, cost = main_score(any_one), (by.get("sound") or any_one)["cost"]
        rows.append(
            [
                name,
                TITLES[score],
                published_cell(any_one, figures["data_set"]),
                *(interval(by[p]["scores"].get(score), ".3f") if p in by else NOTHING for p in ("published", "sound")),
                f"{cost['parameters']:,.0f}",
                f"{cost['megabytes']:,.1f}",
                f"{cost['ms_per_image']:,.1f}",
                f"{cost['seconds_per_epoch']:,.1f}",
            ]
        )
    return heading, rows


def score_cells(figures: Mapping[str, Any]) -> Cells:
    """One row per system and protocol, with every score."""
    heading = ["system", "protocol", *TITLES.values(), "largest class", "copies learned from",
               f"{figures['words']['groups']} learned from", "rows", "what was run"]  # fmt: skip
    rows = [
        [
            result["system"],
            result["protocol"],
            *(interval(result["scores"].get(name), ".3f") for name in TITLES),
            f"{result['largest_class']:.3f}",
            f"{result['shared_rows']:.1%}",
            f"{result['shared_lesions']:.1%}",
            f"{result['rows']:,}",
            result["setting"],
        ]
        for result in figures["results"]
    ]
    return heading, rows


def notes(figures: Mapping[str, Any]) -> list[str]:
    """What a reader must know to read the table."""
    group, groups = figures["words"]["group"], figures["words"]["groups"]
    found = [
        f"Intervals: 95 % over {groups}. Copies learned from: share of the scored rows whose very image is among the "
        f"training rows; {groups} learned from: the same for the {group}. Largest class: the accuracy of always naming "
        "it."
    ]
    if figures["classes"] > 2:
        found.append("AUC, average precision, precision, recall and F1 are means over the classes.")
    if figures["fast"]:
        found.append(
            "Fast form: small images, few epochs, at most a few thousand training images, one of three folds for the "
            "sound protocol, a twelfth of the published replication. Figures are far below those of the full settings "
            "and tell protocols and systems apart only roughly."
        )
    if figures["synthetic"]:
        found.append("On a synthetic twin: no figure says anything about skin.")
    return found


def markdown(figures: Mapping[str, Any]) -> str:
    """Both tables and their notes."""
    parts = [markdown_table(*summary_cells(figures)), markdown_table(*score_cells(figures)), *notes(figures)]
    return "\n\n".join(parts) + "\n"


def markdown_table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; figures to the right."""
    lines = ["| " + " | ".join(heading) + " |", "|---" + "|---:" * (len(heading) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def print_table(console: Console, figures: Mapping[str, Any]) -> None:
    """Both tables in the terminal."""
    for title, (heading, rows) in (
        ("Published systems", summary_cells(figures)),
        ("Every score", score_cells(figures)),
    ):
        print_cells(console, title, heading, rows)
    for note in notes(figures):
        console.print(note, markup=False)


def print_cells(console: Console, title: str, heading: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """One table in the terminal."""
    table = tables.grid(title)
    for place, text in enumerate(heading):
        table.add_column(text, justify="left" if place < 2 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    tables.print_table(console, table)
