"""The body map: a figure in millimetres, front and back, and where on it each lesion lies.

The figure stands as people do for whole-body photographs: arms held out, feet apart. Its frame is that of the published
coordinates: x from the patient's left to the right, y upwards from the floor, z from the front to the back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
HALF = (
    (0, 1748), (48, 1740), (80, 1700), (88, 1645), (80, 1590), (58, 1545), (50, 1500), (62, 1468),
    (120, 1446), (185, 1430), (236, 1398), (268, 1345), (300, 1270), (338, 1190), (374, 1105), (410, 1010),
    (440, 930), (470, 872), (486, 818), (478, 782), (452, 772), (434, 806), (424, 866), (402, 922),
    (366, 1000), (322, 1092), (278, 1178), (238, 1250), (196, 1316), (184, 1262), (176, 1180), (166, 1100),
    (168, 1020), (186, 940), (206, 850), (222, 750), (230, 650), (234, 560), (250, 470), (260, 380),
    (252, 280), (242, 180), (242, 110), (268, 62), (280, 34), (262, 20), (212, 22), (204, 70),
    (202, 130), (190, 220), (172, 330), (164, 430), (154, 520), (130, 620), (92, 730), (40, 822), (0, 852),
)  # fmt: skip
"""The right half of the outline, from the top of the head around hand and foot to the crotch."""
LEFT, RIGHT, TOP, BOTTOM = -520, 520, 1790, -10
MARGIN_MM = 9.0
"""Dots keep so far within the outline."""
MIDDLE_Z = 60.0
"""What lies further back is drawn on the back, where the place does not say."""
PLACES = (
    ("left arm - lower", -402, 1000), ("right arm - lower", 402, 1000), ("left arm", -300, 1230),
    ("right arm", 300, 1230), ("left leg - lower", -212, 300), ("right leg - lower", 212, 300), ("left leg", -150, 640),
    ("right leg", 150, 640), ("top", 0, 1340), ("middle third", 0, 1140), ("bottom", 0, 960), ("scalp", 0, 1710),
    ("head", 0, 1600), ("face", 0, 1600), ("ear", 66, 1635), ("neck", 0, 1500), ("chest", 0, 1330),
    ("abdomen", 0, 1080), ("genital", 0, 870), ("hand", 455, 830), ("foot", 240, 50), ("acral", 240, 50),
    ("upper ext", 345, 1140), ("lower ext", 190, 480), ("back", 0, 1200), ("torso", 0, 1180), ("trunk", 0, 1180),
)  # fmt: skip
"""Where a place is that has a name alone: the first whose words the name holds."""
GOLDEN_ANGLE = 2.399963
SPREAD_MM = 15.0
"""Lesions of one named place lie on a spiral around it, so that none hides another."""


@dataclass(frozen=True)
class Dot:
    """A lesion on the figure; in the drawing y points down."""

    side: str
    """`front` or `back`."""
    x: float
    y: float
    exact: bool
    """False where the place has a name alone."""


def dots(positions: Floats, places: Sequence[str | None]) -> list[Dot | None]:
    """A dot for each lesion; None where nothing says where it is."""
    found: list[Dot | None] = []
    beside: dict[tuple[float, float, str], int] = {}
    for (x, y, z), place in zip(positions.tolist(), places, strict=True):
        name = (place or "").lower()
        if np.isfinite((x, y, z)).all():
            back = (
                "back" in name or "posterior" in name or (not ("front" in name or "anterior" in name) and z > MIDDLE_Z)
            )
            found.append(Dot("back" if back else "front", *drawn(x, y, back), exact=True))
            continue
        spot = next(((a, b) for word, a, b in PLACES if word in name), None)
        if spot is None:
            found.append(None)
            continue
        back = "back" in name or "posterior" in name
        key = (*spot, "back" if back else "front")
        number = beside[key] = beside.get(key, -1) + 1
        angle, radius = number * GOLDEN_ANGLE, SPREAD_MM * np.sqrt(number)
        at = drawn(spot[0] + radius * np.cos(angle), spot[1] + radius * np.sin(angle), back)
        found.append(Dot("back" if back else "front", *at, exact=False))
    return found


def drawn(x: float, y: float, back: bool) -> tuple[float, float]:
    """A place in the drawing: within the outline, and from the front the patient's left is on the right."""
    height = float(np.clip(y, 34.0, 1736.0))
    ends = crossings(round(height))
    spans = [
        (a + MARGIN_MM, b - MARGIN_MM) for a, b in zip(ends[::2], ends[1::2], strict=True) if b - a > 2 * MARGIN_MM
    ]
    across = min((float(np.clip(x, *span)) for span in spans), key=lambda one: abs(one - x), default=x)
    return round(across if back else -across, 1), round(TOP - height, 1)


@cache
def crossings(height: int) -> tuple[float, ...]:
    """Where the outline is crossed at a height, from left to right: inside lies between the first two, and so on."""
    points = np.array([*HALF, *((-x, y) for x, y in reversed(HALF[1:-1]))], dtype=np.float64)
    after = np.roll(points, -1, axis=0)
    level = height + 0.5
    crossed = (points[:, 1] > level) != (after[:, 1] > level)
    a, b = points[crossed], after[crossed]
    return tuple(sorted((a[:, 0] + (level - a[:, 1]) * (b[:, 0] - a[:, 0]) / (b[:, 1] - a[:, 1])).tolist()))


@cache
def outline() -> str:
    """The figure as an SVG path: a smooth curve through the points (Catmull-Rom)."""
    points = [(x, TOP - y) for x, y in (*HALF, *((-x, y) for x, y in reversed(HALF[1:-1])))]
    count = len(points)
    parts = [f"M{points[0][0]} {points[0][1]}"]
    for i in range(count):
        before, here, there, beyond = (points[(i + k) % count] for k in (-1, 0, 1, 2))
        first = (here[0] + (there[0] - before[0]) / 6, here[1] + (there[1] - before[1]) / 6)
        second = (there[0] - (beyond[0] - here[0]) / 6, there[1] - (beyond[1] - here[1]) / 6)
        parts.append("C" + " ".join(f"{value:.0f}" for value in (*first, *second, *there)))
    return "".join(parts) + "Z"
