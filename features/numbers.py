"""What is fitted on the numbers of the training rows (medians, scaling), and names of columns."""

import re
from collections.abc import Sequence

import polars as pl

from features.recipe import FeatureRecipe


def fit_medians(frame: pl.DataFrame, rows: pl.Series, numbers: Sequence[str]) -> dict[str, float]:
    """Median of each number over the rows; 0 where every value is missing."""
    if not numbers:
        return {}
    medians = frame.select(pl.col(numbers).gather(rows).median().fill_null(0.0))
    return {name: float(value) for name, value in medians.row(0, named=True).items()}


def fit_scaling(
    frame: pl.DataFrame, rows: pl.Series, medians: dict[str, float], recipe: FeatureRecipe
) -> dict[str, tuple[float, float]] | None:
    """Shift and factor of each number over the rows, after imputation; a constant column becomes 0."""
    if recipe.scale == "none" or not medians:
        return None

    def figures(name: str) -> list[pl.Expr]:
        value = pl.col(name).gather(rows).cast(pl.Float64)
        if recipe.impute == "median":
            value = value.fill_null(medians[name])
        if recipe.scale == "standard":
            return [value.mean().alias(f"{name} shift"), value.std(ddof=0).alias(f"{name} width")]
        return [value.min().alias(f"{name} shift"), (value.max() - value.min()).alias(f"{name} width")]

    fitted = frame.select(figure for name in medians for figure in figures(name)).row(0, named=True)
    scaling = {}
    for name in medians:
        shift, width = fitted[f"{name} shift"], fitted[f"{name} width"]
        scaling[name] = (float(shift or 0.0), 1.0 / width if width else 0.0)
    return scaling


def plain_names(names: list[str], *, letters: bool = True) -> tuple[str, ...]:
    """Names that people read and boosters take: letters of any script, digits and _ . = + -, each only once."""
    strange = r"[^\w.=+-]+" if letters else r"[^A-Za-z0-9_.=+-]+"
    plain: list[str] = []
    taken: set[str] = set()
    for name in names:
        base = unique = re.sub(strange, "_", name)
        number = 2
        while unique in taken:
            unique, number = f"{base}_{number}", number + 1
        taken.add(unique)
        plain.append(unique)
    return tuple(plain)
