"""A card as Markdown."""

from collections.abc import Iterable, Sequence

from pipeline.card.figures import Cell, Section
from pipeline.card.items import UNANSWERED


def text_of(cell: Cell) -> str:
    """A cell that cannot end its row, or become a link or a tag."""
    text = cell if isinstance(cell, str) else cell.text
    for sign in "\\|<>[]*_`":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def table(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> list[str]:
    """A table's lines."""
    lines = [f"| {' | '.join(map(text_of, head))} |", f"|{'---|' * len(head)}"]
    return [*lines, *(f"| {' | '.join(map(text_of, row))} |" for row in rows), ""]


def markdown(name: str, invented: bool, sections: Sequence[Section], items: Iterable[tuple[str, str, str]]) -> str:
    """The whole card."""
    lines = [f"# Model card: {text_of(name)}", ""]
    if invented:
        lines += ["**The models were trained on invented lesions: the figures say nothing about patients.**", ""]
    for one in sections:
        lines += [f"## {one.title}", "", *(line for said in one.said for line in (said, ""))]
        if one.rows:
            lines += table(one.head, one.rows)
        elif not one.said:
            lines += [f"{UNANSWERED.capitalize()}.", ""]
    lines += ["## Items of TRIPOD+AI and CLAIM", ""]
    lines += table(("Item", "Answered"), [(item, where) for item, where, _ in items])
    return "\n".join(lines)
