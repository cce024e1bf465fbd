"""An axis of a plot: from where to where, and which values are marked on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log, log10

Ticks = Sequence[tuple[float, str]]
PROBABILITIES = (0.5, 0.1, 0.9, 0.01, 0.99, 0.001, 0.999, 0.2, 0.8, 0.05, 0.95, 0.3, 0.7, 0.02, 0.98)
"""Ticks of a log-odds axis, the most wanted first."""


@dataclass(frozen=True)
class Axis:
    """One axis: what it shows with its unit, and from where to where."""

    label: str
    low: float
    high: float
    ticks: Ticks = ()
    """Value and text; chosen when left empty."""
    log: bool = False
    rows: bool = False
    """Whether it names rows: then it has no label and no grid."""

    def place(self, value: float) -> float:
        """Position between 0 and 1."""
        if self.log:
            return (log10(value) - log10(self.low)) / (log10(self.high) - log10(self.low))
        return (value - self.low) / (self.high - self.low)

    def inside(self, value: float) -> float:
        """The same, kept inside the frame."""
        return min(max(self.place(value), 0.0), 1.0)

    def marks(self) -> Ticks:
        """The ticks to draw."""
        return self.ticks or (log_ticks(self.low, self.high) if self.log else even_ticks(self.low, self.high))


def share(label: str, high: float = 1.0) -> Axis:
    """An axis of shares from 0, in fifths."""
    return Axis(label, 0, high, [(k * high / 5, f"{k * high / 5:g}") for k in range(6)])


def around(label: str, values: Sequence[float], room: float, least: float = 0.01, ticks: Ticks = ()) -> Axis:
    """An axis that holds every value with some room, a share of their spread, on both sides."""
    low, high = min(values), max(values)
    spread = room * (high - low) or least
    return Axis(label, low - spread, high + spread, ticks)


def even_ticks(low: float, high: float, most: int = 6) -> Ticks:
    """Round numbers in even steps."""
    raw = (high - low) / most
    power = 10.0 ** floor(log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first = -floor(-low / step + 1e-9)
    values = [step * k for k in range(first, first + most + 2) if step * k <= high + 1e-9 * step]
    return [(value, f"{value:.10g}") for value in values]


def whole_numbers(label: str, last: int, most: int = 8) -> Axis:
    """An axis of 1, 2, 3 to `last`, with a tick at each or at fewer of them."""
    step = max(1, -(-last // most))
    return Axis(label, 0.5, last + 0.5, [(float(value), str(value)) for value in range(1, last + 1, step)])


def log_ticks(low: float, high: float) -> Ticks:
    """1, 2, 5 in every decade, or the decades alone when there are many."""
    decades = range(floor(log10(low)), floor(log10(high)) + 1)
    factors = (1, 2, 5) if log10(high / low) < 3 else (1,)
    values = [factor * 10.0**decade for decade in decades for factor in factors]
    return [(value, f"{value:g}") for value in values if low * 0.999 <= value <= high * 1.001]


def probability_ticks(low: float, high: float) -> Ticks:
    """Probabilities at their log-odds, as many as there is room for."""
    chosen: list[tuple[float, str]] = []
    for probability in PROBABILITIES:
        place = log(probability / (1.0 - probability))
        if low <= place <= high and all(abs(place - other) >= (high - low) / 9 for other, _ in chosen):
            chosen.append((place, f"{probability:g}"))
    return sorted(chosen)
