"""How large a synthetic twin is."""

from pydantic import Field

from data.strict import Strict

GENERATION = 1
"""Counts changes of the twins that change what a recipe writes."""


class TwinRecipe(Strict):
    """The size of a synthetic twin; what it is the twin of follows from the reader."""

    lesions: int = Field(default=300, ge=40, le=1_000_000)
    """Lesions, or where there are no images, samples; more than a million take days to draw."""
    image_side: int = Field(default=97, ge=33, le=1023)
    """Side of the square pictures in pixels; the published ones are larger and not square."""
    seed: int = Field(default=2024, ge=0, lt=2**63)
