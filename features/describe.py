"""What `fusionnetx features --describe` prints: every feature with its formula, unit, family and missing share."""

import polars as pl

from features.families.family import Family
from features.families.registry import FAMILIES
from features.recipe import FeatureRecipe
from features.table import LESION, FeatureTable


def describe(table: FeatureTable) -> pl.DataFrame:
    """One row per feature, in column order."""
    missing = table.frame.drop(LESION).null_count().row(0)
    lesions = max(len(table.frame), 1)
    return pl.DataFrame(
        {
            "feature": table.names,
            "family": [feature.family for feature in table.features],
            "formula": [feature.formula for feature in table.features],
            "unit": [feature.unit for feature in table.features],
            "kind": [feature.kind for feature in table.features],
            "image": [feature.image for feature in table.features],
            "transductive": [feature.transductive for feature in table.features],
            "missing_share": [count / lesions for count in missing],
        }
    )


def describe_families(recipe: FeatureRecipe) -> pl.DataFrame:
    """One row per family: whether the recipe makes it, and the first sentence of its documentation."""
    return pl.DataFrame(
        {
            "family": list(FAMILIES),
            "made": [name in recipe.chosen for name in FAMILIES],
            "what": [first_line(family) for family in FAMILIES.values()],
        }
    )


def first_line(family: Family) -> str:
    """The first sentence of a family's documentation; its name where Python was told to leave documentation out."""
    return (family.make.__doc__ or family.name).strip().splitlines()[0]
