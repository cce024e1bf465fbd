"""Pictures of the twins: each diagnosis has a look of its own, so that a network has something to find.

The looks follow textbook descriptions in size, colour and border, with wide overlap; the painter is the one of the
synthetic cohort. They are invented, and nothing measured on them says anything about skin.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from data.synthetic.isic2024.images import LOOK


class Look(NamedTuple):
    """The middle of one diagnosis' looks: mm, and differences to the skin in CIELAB."""

    diameter_mm: float
    lightness: float
    redness: float
    yellowness: float
    border: float
    """0 smooth to 10 ragged."""
    asymmetry: float
    """0 to 1."""
    colour_spread: float
    atypia: float
    """0 and below: a regular network; above: veil, dots, redness around."""


LOOKS = {
    "nv": Look(5.0, -12.0, 4.0, 3.0, 2.0, 0.2, 1.0, -0.8),
    "mel": Look(7.5, -20.0, 3.0, -2.0, 6.0, 0.6, 3.5, 1.6),
    "bkl": Look(6.5, -9.0, 3.0, 7.0, 5.0, 0.35, 2.2, -0.2),
    "bcc": Look(6.0, -3.0, 10.0, -2.0, 4.0, 0.4, 1.8, 0.4),
    "akiec": Look(6.5, 2.0, 8.0, 4.0, 6.5, 0.45, 1.5, 0.0),
    "vasc": Look(4.0, -14.0, 20.0, -6.0, 1.5, 0.15, 1.0, -1.0),
    "df": Look(4.5, -4.0, 5.0, 5.0, 1.0, 0.1, 0.6, -0.9),
    "common_nevus": Look(4.5, -11.0, 4.0, 3.0, 1.5, 0.15, 0.8, -1.0),
    "atypical_nevus": Look(6.0, -14.0, 4.5, 2.0, 3.5, 0.4, 1.8, 0.2),
    "melanoma": Look(7.5, -20.0, 3.0, -2.0, 6.0, 0.6, 3.5, 1.6),
}

PAINTED = ("diameter_mm", "delta_L", "delta_A", "delta_B", "border", "asymmetry", "colour_spread", "atypia")
"""The painter's names of these, in their order."""

SPREAD = Look(1.0, 4.0, 2.0, 2.0, 1.2, 0.1, 0.5, 0.5)
"""Standard deviation between lesions of one diagnosis."""

_LOWEST = Look(2.0, -35.0, -5.0, -15.0, 0.0, 0.0, 0.2, -3.0)
_HIGHEST = Look(10.0, 12.0, 30.0, 15.0, 10.0, 1.0, 6.0, 4.0)


def draw_looks(diagnoses: Sequence[str], side: int, rng: np.random.Generator) -> npt.NDArray[np.void]:
    """One look per lesion, for `data.synthetic.isic2024.images.render`."""
    count = len(diagnoses)
    middle = np.array([LOOKS[name] for name in diagnoses])
    drawn = np.clip(middle + rng.standard_normal(middle.shape) * np.array(SPREAD), _LOWEST, _HIGHEST)
    look = np.zeros(count, dtype=LOOK)
    for place, name in enumerate(PAINTED):
        look[name] = drawn[:, place]
    look["side"] = side + 1 - side % 2  # odd, so that the lesion's centre has a pixel
    look["minor_mm"] = drawn[:, 0] * rng.uniform(0.65, 0.95, count)
    look["angle_deg"] = rng.uniform(0, 180, count)
    look["skin_L"] = rng.normal(66.0, 5.0, count)
    look["skin_A"] = rng.normal(12.0, 2.0, count)
    look["skin_B"] = rng.normal(17.0, 2.5, count)
    look["light_spread"] = rng.uniform(1.5, 3.0, count)
    look["skin_spread"] = rng.uniform(1.0, 2.5, count)
    look["hair"] = rng.exponential(1.5, count)
    look["seed"] = rng.integers(0, 2**63, count, dtype=np.uint64)
    return look


def again(look: npt.NDArray[np.void], rng: np.random.Generator) -> npt.NDArray[np.void]:
    """The same lesions photographed once more: turned, in another light, other hairs before them."""
    other = look.copy()
    other["angle_deg"] = (look["angle_deg"] + rng.uniform(0, 180, look.size)) % 180
    other["diameter_mm"] = np.clip(look["diameter_mm"] * rng.uniform(0.92, 1.08, look.size), 2.0, 10.0)
    other["seed"] = rng.integers(0, 2**63, look.size, dtype=np.uint64)
    return other
