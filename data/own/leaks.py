"""Columns that give the answer away: known, written or left out only because the diagnosis was known.

One column alone that tells the classes apart almost perfectly is hardly ever a finding about skin. Each is measured by
its AUC, a category by the share of the class among other rows with it; that a value is missing may tell it, too.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from data.own.columns import ColumnLook
from data.scores.ranking import auc

GIVEAWAY_AUC = 0.95
FEWEST = 5
"""Rows of a class below which an AUC says nothing."""
HALVES = 2
NAMED_LIKE_ANSWER = re.compile(
    r"hist(o|\b|_)|diagn|biops|dignit|breslow|clark|pathol|icd|malig|melanom|metast|befund|outcome|progno", re.I
)
"""Names of things that are known with the diagnosis, or because of it."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Giveaway:
    """How far a column alone tells the answer."""

    name: str
    auc: float
    by_missing: bool
    """Whether it is not the value but its being there that tells."""
    named: bool
    """Whether its name says that it is known only with the diagnosis."""

    @property
    def suspect(self) -> bool:
        """Whether it should not be a feature before somebody has looked."""
        return self.auc >= GIVEAWAY_AUC or self.named

    def __str__(self) -> str:
        if self.auc >= GIVEAWAY_AUC:
            what = "whether it is filled in tells" if self.by_missing else "it alone tells"
            return f"{self.name}: {what} the answer with an AUC of {self.auc:.3f}"
        return f"{self.name}: by its name, it is known only with the diagnosis (AUC {self.auc:.3f})"


def giveaways(frame: pl.DataFrame, columns: Sequence[ColumnLook], answer: npt.NDArray[np.int64]) -> list[Giveaway]:
    """Every usable column with its AUC, the most telling first; of several classes that of the best told one."""
    found = []
    for column in columns:
        cells = frame[column.name]
        empty = cells.is_null().to_numpy()
        by_value, by_missing = 0.5, 0.5
        for code in np.unique(answer)[1:] if len(np.unique(answer)) == 2 else np.unique(answer):
            positive = (answer == code).astype(np.int64)
            by_value = max(by_value, auc_of_values(cells, column, positive))
            by_missing = max(by_missing, either_way(positive, empty.astype(np.float64)))
        named = bool(NAMED_LIKE_ANSWER.search(column.name))
        found.append(Giveaway(column.name, max(by_value, by_missing), by_missing > by_value, named))
    return sorted(found, key=lambda one: -one.auc)


def auc_of_values(cells: pl.Series, column: ColumnLook, positive: npt.NDArray[np.int64]) -> float:
    """AUC of the values of one column, among the rows that have one."""
    there = cells.is_not_null().to_numpy()
    if column.kind == "number":
        return either_way(positive[there], cells.drop_nulls().cast(pl.Float64).to_numpy())
    return either_way(positive, shares(cells, positive), one_way=True)


def shares(cells: pl.Series, positive: npt.NDArray[np.int64]) -> Floats:
    """For each row the share of the class among rows of the other half that have the same category."""
    _, code = np.unique(cells.fill_null("\0").to_numpy().astype(np.str_), return_inverse=True)
    # Classes are dealt to both halves alike, so that neither knows more than the other.
    half = np.empty(len(code), np.int64)
    for value in (0, 1):
        rows = np.flatnonzero(positive == value)
        half[rows] = np.random.default_rng(value).permutation(len(rows)) % HALVES
    size, overall = int(code.max(initial=0)) + 1, float(positive.mean())
    given = np.full(len(code), overall)
    for k in range(HALVES):
        seen, asked = half != k, half == k
        count = np.bincount(code[seen], minlength=size)
        bad = np.bincount(code[seen], weights=positive[seen], minlength=size)
        given[asked] = ((bad + overall) / (count + 1))[code[asked]]
    return given


def either_way(positive: npt.NDArray[np.int64], value: Floats, *, one_way: bool = False) -> float:
    """AUC of a value, large or small; 0.5 where there are too few rows to say."""
    bad = int(positive.sum())
    if min(bad, len(positive) - bad) < FEWEST or not np.isfinite(value).all() or value.min() == value.max():
        return 0.5
    found = ranked(positive, value)
    return found if one_way else max(found, 1 - found)


def ranked(positive: npt.NDArray[np.int64], value: Floats) -> float:
    """AUC of any numbers: their ranks are put between 0 and 1."""
    order = np.unique(value, return_inverse=True)[1]
    return float(auc(positive, order / max(int(order.max()), 1)))
