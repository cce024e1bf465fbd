"""A patient's lesions as points in a plane, to see the odd one out."""

from dataclasses import dataclass

import numpy as np

from pipeline.page.patient import COMPONENTS, Floats, Look, meaning, unit
from pipeline.report.axis import Axis, around

WIDTH, HEIGHT, MARGIN = 640, 420, 46


@dataclass(frozen=True)
class Plane:
    """Two axes, and where each lesion lies."""

    across: Axis
    up: Axis
    at: tuple[tuple[float, float] | None, ...]
    """In the drawing's units, in the order of the look; None where a value is missing."""

    def ticks(self) -> dict[str, list[tuple[float, str]]]:
        """Where the axes are marked."""
        return {
            "across": [(place_across(self.across, value), text) for value, text in self.across.marks()],
            "up": [(place_up(self.up, value), text) for value, text in self.up.marks()],
        }


def plane_of(look: Look, across: str, up: str) -> Plane:
    """The plane of two measurements or components; names that there are not become the components."""
    first, second = (name if name in look.names else COMPONENTS[place] for place, name in enumerate((across, up)))
    (values, label), (others, title) = column(look, first), column(look, second)
    axes = axis_of(label, values), axis_of(title, others)
    at = tuple(
        (place_across(axes[0], x), place_up(axes[1], y)) if np.isfinite(x) and np.isfinite(y) else None
        for x, y in zip(values.tolist(), others.tolist(), strict=True)
    )
    return Plane(*axes, at)


def column(look: Look, name: str) -> tuple[Floats, str]:
    """The values of a measurement or component, and what it is."""
    if name in COMPONENTS:
        place = COMPONENTS.index(name)
        return look.components[:, place], f"{name}: {look.loadings[place]}" if look.loadings[place] else name
    measured = f" ({unit(name)})" if unit(name) else ""
    return look.values[:, look.names.index(name)], meaning(name) + measured


def axis_of(label: str, values: Floats) -> Axis:
    """An axis that holds what is there."""
    known = values[np.isfinite(values)].tolist() or [0.0, 1.0]
    return around(label, known, 0.06, least=0.5)


def place_across(axis: Axis, value: float) -> float:
    """From the left."""
    return round(MARGIN + axis.inside(value) * (WIDTH - MARGIN - 14), 1)


def place_up(axis: Axis, value: float) -> float:
    """From the top."""
    return round(HEIGHT - MARGIN - axis.inside(value) * (HEIGHT - MARGIN - 26), 1)
