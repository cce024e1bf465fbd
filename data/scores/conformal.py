"""Sets of classes in place of one: every class that cannot be ruled out at a level. More than one, or none: uncertain.

Each class has a threshold on its own probability, set by the lesions of that class so that its share of lesions whose
set holds the true class is at least the level, for every class by itself, a rare one too (class-conditional conformal
sets). The share is that over patients and the threshold that of `thresholds.py`, because lesions of one patient are
alike; what is assumed is said there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.scores.ranking import Floats, Ints, Values
from data.scores.thresholds import kept_threshold


def by_class(score: Floats) -> Floats:
    """Lesions x classes; of the probability of the positive class, two columns."""
    return np.column_stack([1.0 - score, score]) if score.ndim == 1 else score


@dataclass(frozen=True)
class SetRule:
    """Which classes a lesion's set holds."""

    level: float
    thresholds: tuple[float | None, ...]
    """By class, on its score; None: too few patients to rule the class out, so every set holds it."""

    def apply(self, score: Floats) -> npt.NDArray[np.bool_]:
        """Lesions x classes: whether the set holds the class."""
        columns = by_class(score)
        lowest = np.array([-np.inf if one is None else one for one in self.thresholds])
        return np.asarray(columns >= lowest, dtype=np.bool_)

    def calls(self, score: Floats, names: Sequence[str], uncertain: str = "uncertain") -> list[str]:
        """The class of a set of one, else `uncertain`."""
        held = self.apply(score)
        label = np.where(held.sum(axis=1) == 1, np.asarray(names)[held.argmax(axis=1)], uncertain)
        return [str(one) for one in label]

    def to_json(self) -> dict[str, Any]:
        """For `data.files.write_json`."""
        return {"level": self.level, "thresholds": list(self.thresholds)}

    @staticmethod
    def from_json(value: Any) -> "SetRule":
        """Back from JSON; DataError when it is no rule."""
        try:
            thresholds = tuple(None if one is None else float(one) for one in value["thresholds"])
            return SetRule(float(value["level"]), thresholds)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"these are not stored prediction sets ({error!r}); calibrate the run again") from error


def set_rule(target: Ints, score: Floats, groups: Values, level: float) -> SetRule:
    """Set the threshold of every class by the lesions of that class."""
    columns, patients = by_class(score), np.asarray(groups)
    thresholds = []
    for place in range(columns.shape[1]):
        own = target == place
        thresholds.append(kept_threshold(columns[own, place], patients[own], level).threshold)
    return SetRule(level, tuple(thresholds))


@dataclass(frozen=True)
class Coverage:
    """What sets did on known lesions."""

    covered: tuple[float | None, ...]
    """By class: share of its lesions whose set holds it; None without such lesions."""
    size: float
    """Mean number of classes in a set."""
    uncertain: float
    """Share of lesions whose set is not of one class."""


def coverage(held: npt.NDArray[np.bool_], target: Ints) -> Coverage:
    """Count the sets, lesions x classes, that hold what is true."""
    right = held[np.arange(len(target)), target]
    classes = range(held.shape[1])
    covered = tuple(float(right[target == place].mean()) if np.any(target == place) else None for place in classes)
    size = held.sum(axis=1)
    return Coverage(covered, float(size.mean()), float(np.mean(size != 1)))
