"""Plots as inline SVG: axes, lines, areas and dots. Text stays text, and colours are the page's own CSS variables.

Series differ by dash and marker as well as by colour, so that print and colour-blind readers lose nothing. What is
plotted, and from which figures, is `plots.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from math import floor, isfinite, log10

from markupsafe import Markup, escape

WIDTH, HEIGHT = 440, 300
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 10, 46
DASHES = ("", "7 4", "2 3", "9 3 2 3", "1 2", "12 4", "4 2 1 2")
COLOURS = 7
"""Colours c1 to c7 of the style sheet (Okabe and Ito's palette)."""

_ids = count(1)


@dataclass(frozen=True)
class Axis:
    """One axis: what it shows with its unit, and from where to where."""

    label: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]] = ()
    """Value and text; chosen when left empty."""
    log: bool = False

    def place(self, value: float) -> float:
        """Position between 0 and 1."""
        if self.log:
            return (log10(value) - log10(self.low)) / (log10(self.high) - log10(self.low))
        return (value - self.low) / (self.high - self.low)

    def marks(self) -> Sequence[tuple[float, str]]:
        """The ticks to draw."""
        return self.ticks or (log_ticks(self.low, self.high) if self.log else even_ticks(self.low, self.high))


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


@dataclass(frozen=True)
class Area:
    """A filled shape."""

    x: Sequence[float]
    y: Sequence[float]
    label: str = ""
    colour: int = 1


@dataclass(frozen=True)
class Dots:
    """Markers, with vertical error bars where `low` and `high` are given and names where `names` are."""

    x: Sequence[float]
    y: Sequence[float]
    label: str = ""
    colour: int = 1
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    names: Sequence[str] = ()


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
    wide: bool = field(default=False)

    def __html__(self) -> str:
        """The figure with caption, drawing and legend."""
        number = next(_ids)
        body = "".join(draw(layer, self.x, self.y) for layer in self.layers)
        legend = "".join(legend_entry(layer) for layer in self.layers if layer.label)
        return (
            f'<figure class="plot{" wide" if self.wide else ""}" data-source="{escape(self.source)}">'
            f"<figcaption><strong>{escape(self.title)}</strong> <span>{escape(self.about)}</span></figcaption>"
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="t{number} d{number}">'
            f'<title id="t{number}">{escape(self.title)}</title><desc id="d{number}">{escape(self.description)}</desc>'
            f"{frame(self.x, self.y)}{body}</svg>"
            f"{f'<ul class=legend>{legend}</ul>' if legend else ''}</figure>"
        )


def across(axis: Axis, value: float) -> float:
    """Horizontal position, kept inside the frame."""
    return LEFT + min(max(axis.place(value), 0.0), 1.0) * (WIDTH - LEFT - RIGHT)


def down(axis: Axis, value: float) -> float:
    """Vertical position, kept inside the frame."""
    return HEIGHT - BOTTOM - min(max(axis.place(value), 0.0), 1.0) * (HEIGHT - TOP - BOTTOM)


def frame(x: Axis, y: Axis) -> str:
    """Grid, ticks and axis labels."""
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for value, text in x.marks():
        place = across(x, value)
        parts.append(f'<path class="grid" d="M{place:.1f} {TOP}V{bottom}"/>')
        parts.append(f'<text class="tick" x="{place:.1f}" y="{bottom + 15}" text-anchor="middle">{escape(text)}</text>')
    for value, text in y.marks():
        place = down(y, value)
        parts.append(f'<path class="grid" d="M{LEFT} {place:.1f}H{right}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{place + 4:.1f}" text-anchor="end">{escape(text)}</text>')
    middle = (TOP + bottom) / 2
    parts.append(f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>')
    parts.append(f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x.label)}</text>')
    parts.append(
        f'<text x="13" y="{middle}" text-anchor="middle" transform="rotate(-90 13 {middle})">{escape(y.label)}</text>'
    )
    return "".join(parts)


def draw(layer: Layer, x: Axis, y: Axis) -> str:
    """One layer."""
    if isinstance(layer, Area):
        points = " ".join(f"{across(x, a):.1f},{down(y, b):.1f}" for a, b in zip(layer.x, layer.y, strict=True))
        return f'<polygon class="area c{layer.colour}" points="{points}"/>'
    if isinstance(layer, Line):
        dash = f' stroke-dasharray="{DASHES[layer.dash]}"' if layer.dash else ""
        return f'<path class="line c{layer.colour}{" faint" if layer.faint else ""}"{dash} d="{path(layer, x, y)}"/>'
    lifts = name_lifts(layer, x, y)
    return "".join(dot(layer, i, x, y, lifts[i]) for i in range(len(layer.x)))


def path(line: Line, x: Axis, y: Axis) -> str:
    """The path of a line, begun anew after a gap."""
    parts, pen = [], "M"
    for a, b in zip(line.x, line.y, strict=True):
        if b is None or not isfinite(b):
            pen = "M"
            continue
        if line.step and pen == "L":
            parts.append(f"H{across(x, a):.1f}V{down(y, b):.1f}")
        else:
            parts.append(f"{pen}{across(x, a):.1f} {down(y, b):.1f}")
        pen = "L"
    return "".join(parts)


def name_lifts(dots: Dots, x: Axis, y: Axis) -> list[float]:
    """How far above its marker each name stands, so that names of near neighbours do not lie on each other."""
    taken: list[tuple[float, float]] = []
    lifts = []
    for a, b in zip(dots.x, dots.y, strict=True):
        at, level, lift = across(x, a), down(y, b), 6.0
        while any(abs(at - other) < 110 and abs(level - lift - height) < 13 for other, height in taken):
            lift += 7.0
        taken.append((at, level - lift))
        lifts.append(lift)
    return lifts


def dot(dots: Dots, i: int, x: Axis, y: Axis, lift: float) -> str:
    """One marker with its error bar and name."""
    a, b = across(x, dots.x[i]), down(y, dots.y[i])
    bar = ""
    if dots.low:
        bar = f'<path class="line c{dots.colour}" d="M{a:.1f} {down(y, dots.low[i]):.1f}V{down(y, dots.high[i]):.1f}"/>'
    name = ""
    if dots.names:
        late = a > (LEFT + WIDTH) / 2
        name = (
            f'<text class="name" x="{a + (-8 if late else 8):.1f}" y="{b - lift:.1f}" '
            f'text-anchor="{"end" if late else "start"}">{escape(dots.names[i])}</text>'
        )
    return f'{bar}<circle class="dot c{dots.colour}" cx="{a:.1f}" cy="{b:.1f}" r="4"/>{name}'


def legend_entry(layer: Layer) -> str:
    """What a line, area or marker means."""
    if isinstance(layer, Area):
        mark = f'<rect class="area c{layer.colour}" x="0" y="1" width="24" height="10"/>'
    elif isinstance(layer, Line):
        dash = f' stroke-dasharray="{DASHES[layer.dash]}"' if layer.dash else ""
        mark = f'<path class="line c{layer.colour}"{dash} d="M0 6H24"/>'
    else:
        mark = f'<circle class="dot c{layer.colour}" cx="12" cy="6" r="4"/>'
    return f'<li><svg viewBox="0 0 24 12" aria-hidden="true">{mark}</svg>{escape(layer.label)}</li>'


def even_ticks(low: float, high: float, most: int = 6) -> list[tuple[float, str]]:
    """Round numbers in even steps."""
    raw = (high - low) / most
    power = 10.0 ** floor(log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first = -floor(-low / step + 1e-9)
    values = [step * k for k in range(first, first + most + 2) if step * k <= high + 1e-9 * step]
    return [(value, f"{value:.10g}") for value in values]


def whole_ticks(last: int, most: int = 8) -> list[tuple[float, str]]:
    """1, 2, 3 to `last`, or fewer of them."""
    step = max(1, -(-last // most))
    return [(float(value), str(value)) for value in range(1, last + 1, step)]


def log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """1, 2, 5 in every decade, or the decades alone when there are many."""
    decades = range(floor(log10(low)), floor(log10(high)) + 1)
    factors = (1, 2, 5) if log10(high / low) < 3 else (1,)
    values = [factor * 10.0**decade for decade in decades for factor in factors]
    return [(value, f"{value:g}") for value in values if low * 0.999 <= value <= high * 1.001]


def interval_strip(
    low: float, estimate: float, high: float, axis: Axis, reference: float | None, colour: int
) -> Markup:
    """A dot and its interval on a strip for a table cell; the numbers stand beside it, so it is hidden from readers."""
    at = [min(max(axis.place(value), 0.0), 1.0) * 156 + 2 for value in (low, estimate, high)]
    line = ""
    if reference is not None:
        line = f'<path class="reference" d="M{axis.place(reference) * 156 + 2:.1f} 0V16"/>'
    return Markup(
        f'<svg class="strip" viewBox="0 0 160 16" aria-hidden="true"><path class="grid" d="M2 8H158"/>{line}'
        f'<path class="line c{colour}" d="M{at[0]:.1f} 8H{at[2]:.1f}"/>'
        f'<circle class="dot c{colour}" cx="{at[1]:.1f}" cy="8" r="4"/></svg>'
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
    return Markup(
        f'<svg class="swarm" viewBox="0 0 300 34" aria-hidden="true">'
        f'<path class="reference" d="M{zero * 292 + 4:.1f} 0V34"/>{"".join(dots)}</svg>'
    )
