"""What each column of a table is: numbers, categories, names, free text, dates, or nothing at all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import polars as pl

from data.cohort import Cohort
from data.tables.any_table import AnyTable

Kind = Literal["number", "category", "names", "groups", "text", "date", "constant", "empty"]

KINDS: dict[Kind, str] = {
    "number": "number",
    "category": "category",
    "names": "names rows",
    "groups": "names groups",
    "text": "free text",
    "date": "date",
    "constant": "one value alone",
    "empty": "empty",
}
FEATURES: frozenset[Kind] = frozenset({"number", "category"})
"""Kinds that features are made of."""

FEW_CATEGORIES = 20
CATEGORIES_PER_ROW = 0.2
"""A text column with more different values than this share of its rows, and than the few above, is no category."""
MAX_CATEGORIES = 256
"""More than an encoder puts side by side."""
DATES = ("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d.%m.%y", "%d-%m-%Y", "%Y-%m-%d %H:%M:%S")


@dataclass(frozen=True)
class ColumnLook:
    """One column."""

    name: str
    kind: Kind
    missing: float
    """Share of the rows without a value."""
    different: int
    example: str
    """The first value, as it stands there."""

    @property
    def usable(self) -> bool:
        """Whether a feature can be made of it."""
        return self.kind in FEATURES


def columns_of(table: AnyTable) -> tuple[ColumnLook, ...]:
    """A look at every column."""
    return tuple(look_at(table.text.frame[name], name in table.numbers) for name in table.text.columns)


def columns_of_cohort(cohort: Cohort) -> tuple[ColumnLook, ...]:
    """The same of a table whose columns have types already."""
    table, task = cohort.table, cohort.task
    if cohort.labelled and task.target in table.columns:
        names = pl.Series(task.classes)
        table = table.with_columns(names.gather(table[task.target].cast(pl.Int64)).alias(task.target))
    looks = tuple(look_at(spelled(table[name]), table.schema[name].is_numeric()) for name in table.columns)
    return in_roles(looks, task.lesion, task.group, task.target)


def spelled(cells: pl.Series) -> pl.Series:
    """Cells as texts; whole numbers as such."""
    if cells.dtype.is_float() and (cells.drop_nulls() % 1 == 0).all():
        cells = cells.cast(pl.Int64, strict=False)
    return cells.cast(pl.String)


def in_roles(looks: Sequence[ColumnLook], lesion: str, group: str, target: str) -> tuple[ColumnLook, ...]:
    """The same columns, where those that name rows and groups, and the answer, are taken for that and nothing else."""
    roles: dict[str, Kind] = {target: "category", group: "groups", lesion: "names"}
    return tuple(replace(look, kind=roles.get(look.name, look.kind)) for look in looks)


def look_at(cells: pl.Series, number: bool) -> ColumnLook:
    """A look at one column of texts whose missing values are null."""
    there = cells.drop_nulls()
    different = there.n_unique()
    kind = kind_of(there, different, number)
    missing = 1 - len(there) / len(cells) if len(cells) else 0.0
    return ColumnLook(cells.name, kind, missing, different, str(there[0])[:30] if len(there) else "")


def kind_of(there: pl.Series, different: int, number: bool) -> Kind:
    """What the values of a column are."""
    if different < 2:
        return "constant" if different else "empty"
    if number:
        return "number"
    if is_date(there):
        return "date"
    if different <= max(FEW_CATEGORIES, CATEGORIES_PER_ROW * len(there)) and different <= MAX_CATEGORIES:
        return "category"
    return "names" if different == len(there) else "text"


def is_date(there: pl.Series) -> bool:
    """Whether every value is a day, with or without a time, in some spelling."""
    left = there
    for form in DATES:
        left = left.filter(left.str.to_datetime(form, strict=False).is_null())
    return left.is_empty()
