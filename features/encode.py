"""From a feature table to the matrix a model eats, with everything fitted on training rows alone and kept as JSON.

Numbers: missing ones become the training median (0 where no training row has a value), then scaled if asked.
Categories: `one_hot` (missing or unseen: all zeros), `native` (whole codes; missing or unseen: NaN), `ordinal` (codes as plain
numbers; missing or unseen: -1). Target encoding: missing is a category of its own, unseen takes the prior; training rows
get values that their own patient's labels did not enter (`fit_transform`).
"""

import re
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from data.errors import DataError, RecipeError
from data.matrix import Matrix
from features.recipe import FeatureRecipe
from features.source import Feature
from features.table import FeatureTable
from features.target_encoding import (
    Floats,
    Integers,
    TargetShares,
    fit_shares,
    inner_folds,
    out_of_fold_shares,
)

ONE_HOT_LIMIT = 256
"""More categories than this in one column are refused: such a column is a name, not a category."""
CHUNK = 4096
"""Rows transposed at once, so that a block of columns stays in the cache."""


@dataclass(frozen=True)
class Encoder:
    """How features become columns: fitted once per fold, applied to any table with the same features."""

    features: tuple[Feature, ...]
    encoding: Literal["one_hot", "native", "ordinal", "none"]
    medians: dict[str, float] | None
    """Replacement of a missing number; None: missing stays NaN."""
    scaling: dict[str, tuple[float, float]] | None
    """Shift and factor of each number: (value - shift) * factor; None: as it is."""
    categories: dict[str, tuple[str, ...]]
    """Categories of the training rows, sorted."""
    target_shares: dict[str, TargetShares] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        table: FeatureTable,
        rows: Integers,
        target: Integers | None,
        recipe: FeatureRecipe,
        groups: npt.NDArray[Any] | None = None,
        seed: int = 0,
    ) -> "Encoder":
        """Fit on `rows` of the table; `target` and `groups` are aligned to the table and read at `rows` only.

        `groups` and `seed` matter to `fit_transform` alone; they are taken here so that both are called alike.
        """
        if len(rows) == 0:
            raise DataError("features: there is no training lesion to fit the encoder on")
        numbers = [f.name for f in table.features if f.kind == "number"]
        names = [f.name for f in table.features if f.kind == "category"]
        training = table.frame.select(*numbers, *names)[rows]
        medians = fit_medians(training, numbers)
        categories = {n: tuple(training[n].drop_nulls().unique().sort().to_list()) for n in names}
        encoder = cls(
            features=table.features,
            encoding=recipe.category_encoding,
            medians=medians if recipe.impute == "median" else None,
            scaling=fit_scaling(training, medians, recipe),
            categories=categories,
            target_shares=fit_target_shares(training, categories, target, rows, recipe),
        )
        encoder.refuse()
        return encoder

    @classmethod
    def fit_transform(
        cls,
        table: FeatureTable,
        rows: Integers,
        target: Integers | None,
        recipe: FeatureRecipe,
        groups: npt.NDArray[Any] | None = None,
        seed: int = 0,
    ) -> tuple["Encoder", Matrix]:
        """Fit on `rows` and return their own matrix, with target encodings counted on other patients' labels.

        `groups` are the patients (every lesion its own when None); `seed` decides the inner folds.
        """
        encoder = cls.fit(table, rows, target, recipe, groups, seed)
        matrix = encoder.transform(table, rows)
        if encoder.target_shares and target is not None:
            patients = np.arange(len(rows)) if groups is None else np.asarray(groups)[rows]
            fold = inner_folds(patients, recipe.target_folds, seed)
            start = len(matrix.names) - encoder.target_columns
            for name, shares in encoder.target_shares.items():
                codes = encoder.codes(table.frame[name][rows])
                width = len(shares.prior)
                matrix.values[:, start : start + width] = out_of_fold_shares(
                    codes, target[rows], fold, len(encoder.categories[name]) + 1, recipe.target_smoothing
                )
                start += width
        return encoder, matrix
