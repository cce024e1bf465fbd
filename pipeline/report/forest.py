"""A forest plot: one line per row, a dot and its interval on a shared axis, with a reference line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.report.axis import Axis, around
from pipeline.report.svg import Dots, Frame, Plot

ROW, LETTER, MOST_OF_NAMES = 26, 7, 300
"""Height of a row, width of a letter, and what the names take of the width at most."""


@dataclass(frozen=True)
class Mark:
    """A dot with its interval; `label` names its series in the legend."""

    low: float
    estimate: float
    high: float
    label: str = ""
    colour: int = 1

    @staticmethod
    def each(row: Mapping[str, Any], parts: Mapping[str, str], figure: str = "") -> "list[Mark]":
        """The parts of a row that have an interval (or whose figure of that name is one), each a series."""
        found = [(row[part][figure] if figure else row[part], label) for part, label in parts.items()]
        return [
            Mark(one["low"], one["estimate"], one["high"], label, place)
            for place, (one, label) in enumerate(found, start=1)
            if one is not None
        ]


@dataclass(frozen=True)
class Marks:
    """Named rows of dots, drawn one under the other; a row without any is left out."""

    given: Sequence[tuple[str, Sequence[Mark]]]

    @property
    def rows(self) -> list[tuple[str, Sequence[Mark]]]:
        """Those that have something to show."""
        return [(name, marks) for name, marks in self.given if marks]

    def in_words(self, spec: str) -> str:
        """The figures of every row, in words."""
        return (
            "; ".join(
                f"{name} {' and '.join(format(mark.estimate, spec) for mark in marks)}" for name, marks in self.rows
            )
            + "."
        )


def forest(
    title: str, about: str, description: str, label: str, marks: Marks, source: str, reference: float | None = None
) -> Plot:
    """The plot, as wide as a page; its axis holds every interval and the reference."""
    rows = marks.rows
    ends = [end for _, of_row in rows for mark in of_row for end in (mark.low, mark.high)]
    x = around(label, ends + ([] if reference is None else [reference]), 0.05)
    y = Axis("", len(rows), 0, [(place + 0.5, name) for place, (name, _) in enumerate(rows)], rows=True)
    series: dict[tuple[str, int], list[tuple[Mark, float]]] = {}
    for place, (_, of_row) in enumerate(rows):
        for i, mark in enumerate(of_row):
            level = place + 0.5 + (i - (len(of_row) - 1) / 2) / (len(of_row) + 1)
            series.setdefault((mark.label, mark.colour), []).append((mark, level))
    layers = [
        Dots([mark.estimate for mark, _ in found], [level for _, level in found], name, colour,
             [mark.low for mark, _ in found], [mark.high for mark, _ in found], flat=True)
        for (name, colour), found in series.items()
    ]  # fmt: skip
    names = min(LETTER * max(len(name) for name, _ in rows) + 12, MOST_OF_NAMES)
    frame = Frame(width=620, height=8 + ROW * len(rows) + 44, left=names, right=16, top=8, bottom=44)
    return Plot(title, about, description, x, y, layers, source, frame, reference)
