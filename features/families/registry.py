"""Every feature family by name. A new family is one function and one line here.

A function gets the source and the recipe and returns its features with their expressions or finished columns; the
docstring is what `fusionnetx features --describe` and the documentation say of the family.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

from features.families import image_scores, lesion, outliers, patient
from features.source import Made, Source

if TYPE_CHECKING:
    from features.recipe import FeatureRecipe

BOTH: tuple[Literal["simple", "advanced"], ...] = ("simple", "advanced")
ADVANCED: tuple[Literal["simple", "advanced"], ...] = ("advanced",)


class Family(NamedTuple):
    """How a family is made and where it belongs."""

    make: "Callable[[Source, FeatureRecipe], list[Made]]"
    sets: tuple[Literal["simple", "advanced"], ...] = ADVANCED
    """Sets it is part of; none: made only when the recipe names it."""
    lesion_alone: bool = False
    """Made of one lesion: available to the families after it as a number to compare."""


FAMILIES: dict[str, Family] = {
    "published": Family(lesion.published, BOTH),
    "size": Family(lesion.size, lesion_alone=True),
    "colour": Family(lesion.colour, lesion_alone=True),
    "border": Family(lesion.border, lesion_alone=True),
    "position": Family(lesion.position, lesion_alone=True),
    "patient_z": Family(patient.patient_z),
    "location_z": Family(patient.location_z),
    "simple_location_z": Family(patient.simple_location_z),
    "site_z": Family(patient.site_z),
    "patient_rank": Family(patient.patient_rank),
    "patient_robust_z": Family(patient.patient_robust_z),
    "outlying": Family(patient.outlying),
    "local_outlier_factor": Family(outliers.local_outlier_factor),
    "skin_neighbours": Family(outliers.skin_neighbours),
    "counts": Family(patient.counts),
    "image_logit": Family(image_scores.image_logit, BOTH),
    "image_ratio": Family(image_scores.image_ratio),
    "image_rank": Family(image_scores.image_rank),
    "image_site_age_z": Family(image_scores.image_site_age_z, ()),
}
"""In the order of their columns in the table."""
