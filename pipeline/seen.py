"""What the training lesions looked like, as far as a person must know it who has new ones: ranges, values, how many.

Small, whatever the table: numbers as their two ends, categories of at most so many values.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from data.cohort import Cohort
from data.errors import DataError
from features.arrange import clean, column_kind, used_columns
from features.families.registry import patient_families
from features.recipe import FeatureRecipe

MOST_VALUES = 200
"""A column of more different values is a name or free text: that one is new says nothing."""
FEWEST_QUANTILE = 0.05
"""A patient with fewer lesions than all but so many of the training patients is not comparable."""


@dataclass(frozen=True)
class Seen:
    """What training had."""

    numbers: dict[str, tuple[float, float]]
    """Lowest and highest value of each number that is a feature."""
    categories: dict[str, tuple[str, ...]]
    """Values of each category that is a feature."""
    others: dict[str, tuple[str, ...]]
    """Values of text columns that are no features, such as the institution."""
    fewest_lesions: int
    """A patient must have as many for comparisons within the patient to mean what they meant in training."""

    def to_json(self) -> dict[str, Any]:
        """For `data.files.write_json`."""
        return {
            "numbers": {name: list(ends) for name, ends in self.numbers.items()},
            "categories": {name: list(values) for name, values in self.categories.items()},
            "others": {name: list(values) for name, values in self.others.items()},
            "fewest_lesions": self.fewest_lesions,
        }

    @staticmethod
    def from_json(value: Any) -> "Seen":
        """Back from JSON; DataError when it is something else."""
        try:
            return Seen(
                {str(name): (float(low), float(high)) for name, (low, high) in value["numbers"].items()},
                {str(name): tuple(map(str, values)) for name, values in value["categories"].items()},
                {str(name): tuple(map(str, values)) for name, values in value["others"].items()},
                int(value["fewest_lesions"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"this does not say what training lesions were like ({error!r}); calibrate again"
            ) from error


def seen_in(cohort: Cohort, recipe: FeatureRecipe) -> Seen:
    """Look at a training table."""
    task, table = cohort.task, cohort.table
    used = used_columns(cohort, recipe)
    numbers = [name for name in used if column_kind(table, name) == "number"]
    ends = table.select([clean(name) for name in numbers])
    hidden = {task.lesion, task.group, task.target, *cohort.forbidden, *used}
    texts = [name for name, kind in table.schema.items() if kind == pl.String and name not in hidden]
    return Seen(
        numbers={name: found for name in numbers if (found := ends_of(ends[name])) is not None},
        categories=values_of(table, [name for name in used if name not in numbers]),
        others=values_of(table, texts),
        fewest_lesions=fewest_lesions(cohort) if compares(recipe) else 1,
    )


def compares(recipe: FeatureRecipe) -> bool:
    """Whether any feature compares a lesion with the others of its patient."""
    return bool(set(recipe.chosen) & set(patient_families()))


def fewest_lesions(cohort: Cohort) -> int:
    """Lesions that nearly all training patients had, two at least."""
    _, counts = np.unique(cohort.groups, return_counts=True)
    return max(2, int(np.quantile(counts, FEWEST_QUANTILE)))


def ends_of(column: pl.Series) -> tuple[float, float] | None:
    """Lowest and highest value; None where all are missing."""
    low, high = column.min(), column.max()
    return None if low is None or high is None else (float(str(low)), float(str(high)))


def values_of(table: pl.DataFrame, names: list[str]) -> dict[str, tuple[str, ...]]:
    """Values of text columns that have few."""
    found = {name: table[name].cast(pl.String).drop_nulls().unique().sort() for name in names}
    return {name: tuple(values.to_list()) for name, values in found.items() if len(values) <= MOST_VALUES}
