"""A forest plot: one line per row, a dot and its interval on a shared axis, with a reference line.

For differences and scores of named rows; curves and clouds are `svg.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from markupsafe import escape

from pipeline.report.svg import Axis

WIDTH = 900
LEFT, RIGHT, TOP, ROW, BOTTOM = 300, 16, 8, 26, 44
_ids = count(1)


@dataclass(frozen=True)
class Mark:
    """A dot with its interval; `label` names its series in the legend."""

    low: float
    estimate: float
    high: float
    label: str = ""
    colour: int = 1


@dataclass(frozen=True)
class Forest:
    """One figure of the page."""

    title: str
    about: str
    """n and units, in words."""
    description: str
    """What is seen, for those who do not see it."""
    axis: Axis
    rows: Sequence[tuple[str, Sequence[Mark]]]
    """Name of each row and its dots, drawn one under the other."""
    source: str
    """JSON pointer to the figures drawn."""
    reference: float | None = None
    anchor: str = "f"
    """Begins the ids of this figure's title and description, which must be unique in a page."""

    def __html__(self) -> str:
        """The figure with caption, drawing and legend."""
        number = f"{self.anchor}{next(_ids)}"
        height = TOP + ROW * len(self.rows) + BOTTOM
        body = "".join(self._row(place, name, marks) for place, (name, marks) in enumerate(self.rows))
        return (
            f'<figure class="plot wide" data-source="{escape(self.source)}">'
            f"<figcaption><strong>{escape(self.title)}</strong> <span>{escape(self.about)}</span></figcaption>"
            f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(self.title)}">'
            f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="t{number} d{number}">'
            f'<title id="t{number}">{escape(self.title)}</title><desc id="d{number}">{escape(self.description)}</desc>'
            f"{self._frame(height)}{body}</svg></div>{self._legend()}</figure>"
        )

    def _across(self, value: float) -> float:
        return LEFT + min(max(self.axis.place(value), 0.0), 1.0) * (WIDTH - LEFT - RIGHT)

    def _frame(self, height: int) -> str:
        bottom = height - BOTTOM
        parts = []
        for value, text in self.axis.marks():
            at = self._across(value)
            parts.append(f'<path class="grid" d="M{at:.1f} {TOP}V{bottom}"/>')
            parts.append(
                f'<text class="tick" x="{at:.1f}" y="{bottom + 15}" text-anchor="middle">{escape(text)}</text>'
            )
        if self.reference is not None:
            parts.append(f'<path class="reference" d="M{self._across(self.reference):.1f} {TOP}V{bottom}"/>')
        parts.append(f'<path class="axis" d="M{LEFT} {bottom}H{WIDTH - RIGHT}"/>')
        middle = (LEFT + WIDTH - RIGHT) / 2
        parts.append(f'<text x="{middle}" y="{height - 8}" text-anchor="middle">{escape(self.axis.label)}</text>')
        return "".join(parts)

    def _row(self, place: int, name: str, marks: Sequence[Mark]) -> str:
        centre = TOP + ROW * (place + 0.5)
        parts = [f'<text x="{LEFT - 10}" y="{centre + 4:.1f}" text-anchor="end">{escape(name)}</text>']
        for i, mark in enumerate(marks):
            y = centre + (i - (len(marks) - 1) / 2) * ROW / (len(marks) + 1)
            low, at, high = (self._across(value) for value in (mark.low, mark.estimate, mark.high))
            parts.append(f'<path class="line c{mark.colour}" d="M{low:.1f} {y:.1f}H{high:.1f}"/>')
            parts.append(shape(at, y, mark.colour))
        return "".join(parts)

    def _legend(self) -> str:
        labels = {mark.label: mark.colour for _, marks in self.rows for mark in marks if mark.label}
        entries = "".join(
            f'<li><svg viewBox="0 0 24 12" aria-hidden="true"><path class="line c{colour}" d="M0 6H24"/>'
            f"{shape(12, 6, colour)}</svg>{escape(label)}</li>"
            for label, colour in labels.items()
        )
        return f"<ul class=legend>{entries}</ul>" if entries else ""


def shape(x: float, y: float, colour: int) -> str:
    """A dot, or a square for every second colour, so that series differ in print too."""
    if colour % 2:
        return f'<circle class="dot c{colour}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
    return f'<rect class="dot c{colour}" x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7"/>'


def axis_over(label: str, marks: Sequence[Mark], *, keep: float | None = None) -> Axis:
    """An axis that holds every interval (and `keep`), with a little room."""
    ends = [value for mark in marks for value in (mark.low, mark.high)] + ([] if keep is None else [keep])
    low, high = min(ends), max(ends)
    room = 0.05 * (high - low) or 0.01
    return Axis(label, low - room, high + room)
