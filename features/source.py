"""What every feature family works on: the lesions in a fixed order, with the keys that group them.

The order (patient, then lesion) is the same whatever the order of the given table, so sums run over the same numbers in
the same order and a patient's features come out bit for bit the same beside any other patients.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

PATIENT = "_patient"
PLACES = {"location": "_location", "simple_location": "_simple_location", "site": "_site"}
"""Key columns, as codes that are unique to patient and place; lesions without a place form a group of their own."""


@dataclass(frozen=True)
class Feature:
    """What one feature is."""

    name: str
    family: str
    formula: str
    unit: str = "1"
    kind: Literal["number", "category"] = "number"
    image: bool = False
    """Derived from an image model's probability."""
    transductive: bool = False
    """Depends on other patients of the same table: the families that look at the whole table, as they declare."""


@dataclass(frozen=True)
class Made:
    """A feature with how to compute it: an expression over `Source.frame`, or the finished column in its order."""

    feature: Feature
    value: pl.Expr | pl.Series


@dataclass(frozen=True)
class Source:
    """Lesions sorted by patient and lesion: numbers without NaN or infinity (derived ones in Float32, published ones in
    Float64), categories Categorical."""

    frame: pl.DataFrame
    numbers: tuple[str, ...]
    """Published numbers."""
    categories: tuple[str, ...]
    image_scores: tuple[str, ...]
    """Image-model probabilities, one column per model, and per class where there are several."""
    derived: tuple[Feature, ...] = field(default=())
    """Numbers made of one lesion alone, already in the frame; the within-patient z-scores cover them too."""
    kept: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """What one family computed on the way and a later one has use for; it would come out the same made anew."""

    def has(self, *columns: str) -> bool:
        """True when the data have all these columns."""
        return all(column in self.frame.columns for column in columns)


def ratio(numerator: pl.Expr, denominator: pl.Expr) -> pl.Expr:
    """Quotient that is missing, not infinite, where the denominator is 0."""
    return numerator / pl.when(denominator != 0).then(denominator)


def harmonic(left: pl.Expr, right: pl.Expr) -> pl.Expr:
    """Harmonic mean; missing where the two sum to 0."""
    return ratio(2 * left * right, left + right)
