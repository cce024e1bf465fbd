"""What a feature family is: one function, with what the rest of the house must know of it declared beside it.

    @family(place=20, lesion_alone=True)
    def size(source: Source, settings: Settings) -> list[Made]:
        \"\"\"Size and shape.\"\"\"

The function returns the family's features with their expressions or finished columns; the first line of its docstring
is what `fusionnetx features --describe` says of the family.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Literal, Protocol

from features.source import Made, Source

FeatureSet = Literal["simple", "compact", "advanced"]
EVERY: tuple[FeatureSet, ...] = ("simple", "compact", "advanced")
COMPACT: tuple[FeatureSet, ...] = ("compact", "advanced")
ADVANCED: tuple[FeatureSet, ...] = ("advanced",)


class Settings(Protocol):
    """What families are told of a recipe; `FeatureRecipe` says what each means."""

    @property
    def compared_columns(self) -> tuple[str, ...]:
        """Published numbers compared within the patient; empty: every number but the age."""

    @property
    def epsilon(self) -> float:
        """Added to every spread that divides."""

    @property
    def outlier_z(self) -> float:
        """Where outlying begins."""

    @property
    def outlier_columns(self) -> tuple[str, ...]:
        """Published numbers that span the space of the odd one out."""

    @property
    def outlier_neighbours(self) -> int:
        """Neighbours of the local outlier factor."""

    @property
    def skin_neighbours(self) -> int:
        """Nearest lesions on the skin."""


Make = Callable[[Source, Settings], list[Made]]


@dataclass(frozen=True)
class Family:
    """How a family is made and where it belongs."""

    name: str
    make: Make
    sets: tuple[FeatureSet, ...] = ADVANCED
    """Sets it is part of; none: made only when the recipe names it."""
    looks_at: Literal["lesion", "patient", "table"] = "lesion"
    """What a value depends on: its own lesion, all lesions of its patient, or those of other patients too."""
    lesion_alone: bool = False
    """Its numbers are available to the families after it, to be compared."""
    place: float = inf
    """Place of its columns in the table; a family that names none comes last."""


def family(
    *,
    sets: tuple[FeatureSet, ...] = ADVANCED,
    looks_at: Literal["lesion", "patient", "table"] = "lesion",
    lesion_alone: bool = False,
    place: float = inf,
) -> Callable[[Make], Family]:
    """Make a family of the function below, called as the function is."""
    return lambda make: Family(make.__name__, make, sets, looks_at, lesion_alone, place)
