"""Folds by the values of a column: each institution with enough positives is held out whole, the others together.

A patient with lesions under several values belongs to the one with most of them, so that patients stay whole.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort
from data.errors import DataError
from data.inner_split import Ints, class_counts

Texts = npt.NDArray[np.str_]


@dataclass(frozen=True)
class Division:
    """A fold for every lesion, and what each fold holds."""

    fold: Ints
    values: tuple[tuple[str, ...], ...]
    """The values of the column in each fold: one, but for the fold of the others; none stands for a missing value."""

    @property
    def names(self) -> tuple[str, ...]:
        """What each fold is called."""
        return tuple(own[0] if len(own) == 1 else f"{len(own)} others" for own in self.values)


def divide(cohort: Cohort, column: str, least_positives: int, most_folds: int | None = None) -> Division:
    """A fold for each value with enough positives, largest first, and one for the patients of all others."""
    if column not in cohort.table.columns:
        raise DataError(f"folds.by = {column!r}: the training table has no such column")
    value = cohort.table[column].cast(pl.String).fill_null("not given").to_numpy().astype(np.str_)
    names, own = whose(value, cohort.groups)
    counts = np.zeros((len(names), len(cohort.task.classes)), dtype=np.int64)
    np.add.at(counts, (own, cohort.target), 1)
    positives = counts[:, 1:].sum(axis=1)
    order = [int(i) for i in np.lexsort((names, -positives))]
    alone = [i for i in order if positives[i] >= least_positives and (counts[i] > 0).all()]
    alone = alone if most_folds is None or len(order) <= most_folds else alone[: most_folds - 1]
    if not alone:
        raise DataError(
            f"folds.by = {column!r}: no value has {least_positives} positives and every class; "
            "lower folds.least_positives or divide by another column"
        )
    others = [i for i in order if i not in alone]
    if others and (positives[others].sum() < least_positives or not (counts[others].sum(axis=0) > 0).all()):
        others.append(alone.pop())  # too few to be a fold of their own: with the smallest that is one
    parts = [[i] for i in alone] + ([others] if others else [])
    if len(parts) < 2:
        raise DataError(
            f"folds.by = {column!r}: its values make one fold of enough positives, and two are needed; lower "
            "folds.least_positives or divide by another column"
        )
    fold_of = np.empty(len(names), dtype=np.int64)
    for fold, part in enumerate(parts):
        fold_of[part] = fold
    return Division(fold_of[own], tuple(tuple(str(names[i]) for i in part) for part in parts))


def whose(value: Texts, groups: Texts) -> tuple[Texts, Ints]:
    """The values, and for each lesion the place of the one that most lesions of its patient have."""
    names, code = np.unique(value, return_inverse=True)
    _, patient = np.unique(groups, return_inverse=True)
    table = class_counts(patient.astype(np.int64), code.astype(np.int64), len(names))
    return names, table.argmax(axis=1)[patient].astype(np.int64)
