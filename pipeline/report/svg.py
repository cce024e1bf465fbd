"""Plots as inline SVG: axes, lines, areas and dots. Text stays text, and colours are the page's own CSS variables.

Series differ by dash and marker as well as by colour, so that print and colour-blind readers lose nothing. What is
plotted, and from which figures, is `plots.py`; rows of intervals are `forest.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from math import isfinite

from markupsafe import Markup, escape

from pipeline.report.axis import Axis

DASHES = ("", "7 4", "2 3", "9 3 2 3", "1 2", "12 4", "4 2 1 2")
SERIES = 7
"""Colours c1 to c7 of the style sheet (Okabe and Ito's palette), and as many dashes."""

_ids = count(1)


@dataclass(frozen=True)
class Frame:
    """The size of a drawing and its margins, in its own units."""

    width: float = 440
    height: float = 300
    left: float = 58
    right: float = 14
    top: float = 10
    bottom: float = 46


@dataclass(frozen=True)
class Line:
    """A line through points; None or a non-finite value breaks it."""

    x: Sequence[float]
    y: Sequence[float | None]
    label: str = ""
    colour: int = 1
    dash: int = 0
    faint: bool = False
    step: bool = False
    """Hold each y until the next x, as a histogram does."""

    def drawn(self, on: "Plot") -> str:
        """The line, begun anew after a gap."""
        parts, pen = [], "M"
        for x, y in zip(self.x, self.y, strict=True):
            if y is None or not isfinite(y):
                pen = "M"
                continue
            across, down = on.at(x, y)
            held = self.step and pen == "L"
            parts.append(f"H{across:.1f}V{down:.1f}" if held else f"{pen}{across:.1f} {down:.1f}")
            pen = "L"
        return self._path("".join(parts))

    def key(self) -> str:
        """What the legend shows."""
        return self._path("M0 6H24")

    def _path(self, points: str) -> str:
        dash = f' stroke-dasharray="{DASHES[self.dash]}"' if self.dash else ""
        return path(f"line c{self.colour}{' faint' if self.faint else ''}", points, dash)


@dataclass(frozen=True)
class Area:
    """A filled shape."""

    x: Sequence[float]
    y: Sequence[float]
    label: str = ""
    colour: int = 1

    def drawn(self, on: "Plot") -> str:
        """The shape."""
        places = (on.at(x, y) for x, y in zip(self.x, self.y, strict=True))
        points = " ".join(f"{across:.1f},{down:.1f}" for across, down in places)
        return f'<polygon class="area c{self.colour}" points="{points}"/>'

    def key(self) -> str:
        """What the legend shows."""
        return f'<rect class="area c{self.colour}" x="0" y="1" width="24" height="10"/>'


@dataclass(frozen=True)
class Dots:
    """Markers, with error bars where `low` and `high` are given and names where `names` are."""

    x: Sequence[float]
    y: Sequence[float]
    label: str = ""
    colour: int = 1
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    names: Sequence[str] = ()
    flat: bool = False
    """Whether the bars are intervals of x, not of y."""

    def drawn(self, on: "Plot") -> str:
        """Each marker with its bar and name."""
        places = [on.at(x, y) for x, y in zip(self.x, self.y, strict=True)]
        parts = [self._bar(i, place, on) + shape(*place, self.colour) for i, place in enumerate(places)]
        lifts = name_lifts(places) if self.names else []
        return "".join([*parts, *(self._name(i, places[i], lift, on) for i, lift in enumerate(lifts))])

    def key(self) -> str:
        """What the legend shows."""
        return (path(f"line c{self.colour}", "M0 6H24") if self.flat else "") + shape(12, 6, self.colour)

    def _bar(self, i: int, place: tuple[float, float], on: "Plot") -> str:
        if not self.low:
            return ""
        (across, down), low, high, kind = place, self.low[i], self.high[i], f"line c{self.colour}"
        if self.flat:
            return path(kind, f"M{on.across(low):.1f} {down:.1f}H{on.across(high):.1f}")
        return path(kind, f"M{across:.1f} {on.down(low):.1f}V{on.down(high):.1f}")

    def _name(self, i: int, place: tuple[float, float], lift: float, on: "Plot") -> str:
        late = place[0] > (on.frame.left + on.frame.width) / 2
        at = place[0] + (-8 if late else 8), place[1] - lift
        return text(*at, self.names[i], "end" if late else "start", "name")


Layer = Line | Area | Dots


@dataclass(frozen=True)
class Plot:
    """One figure of the page."""

    title: str
    about: str
    """n and units, in words."""
    description: str
    """What is seen, for those who do not see it."""
    x: Axis
    y: Axis
    layers: Sequence[Layer]
    source: str
    """JSON pointer into metrics.json: where its points come from."""
    frame: Frame = Frame()
    reference: float | None = None
    """A value of x that a line marks."""

    def __html__(self) -> str:
        """The figure with caption, drawing and legend; one of rows takes the page's width, or is scrolled."""
        number, title, wide = next(_ids), escape(self.title), self.y.rows
        keys = (
            f'<li><svg viewBox="0 0 24 12" aria-hidden="true">{layer.key()}</svg>{escape(layer.label)}</li>'
            for layer in self.layers
            if layer.label
        )
        legend = "".join(keys)
        drawing = (
            f'<svg viewBox="0 0 {self.frame.width} {self.frame.height}" role="img"'
            f' aria-labelledby="t{number} d{number}">'
            f'<title id="t{number}">{title}</title><desc id="d{number}">{escape(self.description)}</desc>'
            f"{self._axes()}{''.join(layer.drawn(self) for layer in self.layers)}</svg>"
        )
        if wide:
            drawing = f'<div class="scroll" tabindex="0" role="region" aria-label="{title}">{drawing}</div>'
        return (
            f'<figure class="plot{" wide" if wide else ""}" data-source="{escape(self.source)}">'
            f"<figcaption><strong>{title}</strong> <span>{escape(self.about)}</span></figcaption>"
            f"{drawing}{f'<ul class=legend>{legend}</ul>' if legend else ''}</figure>"
        )

    def across(self, value: float) -> float:
        """Horizontal position, kept inside the frame."""
        return self.frame.left + self.x.inside(value) * (self.frame.width - self.frame.left - self.frame.right)

    def down(self, value: float) -> float:
        """Vertical position, kept inside the frame."""
        frame = self.frame
        return frame.height - frame.bottom - self.y.inside(value) * (frame.height - frame.top - frame.bottom)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The place of a point."""
        return self.across(x), self.down(y)

    def _axes(self) -> str:
        """Grid, ticks, axis labels, and the line that marks a value of x."""
        frame, rows = self.frame, self.y.rows
        bottom, right = frame.height - frame.bottom, frame.width - frame.right
        parts = []
        for value, label in self.x.marks():
            place = self.across(value)
            parts.append(path("grid", f"M{place:.1f} {frame.top}V{bottom}"))
            parts.append(text(place, bottom + 15, label, "middle", "tick"))
        for value, label in self.y.marks():
            place = self.down(value)
            parts.append("" if rows else path("grid", f"M{frame.left} {place:.1f}H{right}"))
            parts.append(text(frame.left - 6, place + 4, label, "end", "" if rows else "tick"))
        if self.reference is not None:
            parts.append(path("reference", f"M{self.across(self.reference):.1f} {frame.top}V{bottom}"))
        parts.append(path("axis", f"M{frame.left} {bottom if rows else frame.top}V{bottom}H{right}"))
        parts.append(text((frame.left + right) / 2, frame.height - 8, self.x.label, "middle"))
        middle = (frame.top + bottom) / 2
        turned = f' transform="rotate(-90 13 {middle})"'
        return "".join([*parts, "" if rows else text(13, middle, self.y.label, "middle", more=turned)])


def path(kind: str, points: str, more: str = "") -> str:
    """A stroke."""
    return f'<path class="{kind}"{more} d="{points}"/>'


def text(x: float, y: float, words: str, anchor: str, kind: str = "", more: str = "") -> str:
    """A word at a place."""
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(words)}</text>'


def shape(x: float, y: float, colour: int) -> str:
    """A dot, or a square for every second colour, so that series differ in print too."""
    if colour % 2:
        return f'<circle class="dot c{colour}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
    return f'<rect class="dot c{colour}" x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7"/>'


def name_lifts(places: Sequence[tuple[float, float]]) -> list[float]:
    """How far above its marker each name stands, so that names of near neighbours do not lie on each other."""
    taken: list[tuple[float, float]] = []
    lifts = []
    for at, level in places:
        lift = 6.0
        while any(abs(at - other) < 110 and abs(level - lift - height) < 13 for other, height in taken):
            lift += 7.0
        taken.append((at, level - lift))
        lifts.append(lift)
    return lifts


def interval_strip(found: dict[str, float], axis: Axis, reference: float | None, colour: int = 1) -> Markup:
    """A dot and its interval on a strip for a table cell; the numbers stand beside it, so it is hidden from readers."""
    estimate = found["estimate"]
    low, at, high = (
        axis.inside(value) * 156 + 2 for value in (found.get("low", estimate), estimate, found.get("high", estimate))
    )
    line = "" if reference is None else path("reference", f"M{axis.place(reference) * 156 + 2:.1f} 0V16")
    return Markup(
        f'<svg class="strip" viewBox="0 0 160 16" aria-hidden="true">{path("grid", "M2 8H158")}{line}'
        f"{path(f'line c{colour}', f'M{low:.1f} 8H{high:.1f}')}"
        f'<circle class="dot c{colour}" cx="{at:.1f}" cy="8" r="4"/></svg>'
    )


def dot_strip(places: Sequence[float], shades: Sequence[float], zero: float) -> Markup:
    """Dots along a strip, five shades from low to high; dots in the same place are stacked."""
    taken: dict[int, int] = {}
    dots = []
    for place, shade in zip(places, shades, strict=True):
        column = round(place * 75)
        taken[column] = level = taken.get(column, 0) + 1
        lift = (level // 2) * 3.2 * (1 if level % 2 else -1)
        at = f'cx="{place * 292 + 4:.1f}" cy="{17 + max(-14.0, min(14.0, lift)):.1f}"'
        dots.append(f'<circle class="s{min(int(shade * 5), 4)}" {at} r="2.2"/>')
    line = path("reference", f"M{zero * 292 + 4:.1f} 0V34")
    return Markup(f'<svg class="swarm" viewBox="0 0 300 34" aria-hidden="true">{line}{"".join(dots)}</svg>')
