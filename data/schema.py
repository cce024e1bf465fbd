"""What a table must look like, and every way in which it does not, found in one go.

A data set declares its columns; `validate` turns the texts of a CSV file into typed columns and lists all problems of
the file together, each with its count and the first offending rows. Reading the file is left to `data.csv_table`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

import polars as pl

from data.csv_table import MAX_SHOWN, ROW, TextTable

MISSING = ("", "na", "n/a", "null", "none", "nan")
"""Spellings of a missing value, in lower case; blanks around them do not count."""


@dataclass(frozen=True)
class Column:
    """One declared column."""

    name: str
    kind: Literal["number", "integer", "text", "category"]
    unit: str = ""
    low: float | None = None
    high: float | None = None
    nullable: bool = True
    unique: bool = False
    train_only: bool = False
    """Exists only where the answer is known: never a feature."""
    known: tuple[str, ...] = ()
    """Published values of a category, where the list is complete."""

    @property
    def numeric(self) -> bool:
        """True for numbers, whole or not."""
        return self.kind in {"number", "integer"}


@dataclass(frozen=True)
class Validated:
    """Typed columns in declared order, and what is wrong or worth knowing."""

    table: pl.DataFrame
    """The declared columns that the file has; unusable values are null."""
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def validate(text: TextTable, columns: Sequence[Column]) -> Validated:
    """Type the declared columns and list every problem; extra columns are left out and noted."""
    declared = [column.name for column in columns]
    extra = [name for name in text.columns if name not in set(declared)]
    errors = [f"column {name} occurs more than once" for name in text.duplicated]
    notes = [f"columns that are not used: {', '.join(extra)}"] if extra else []
    errors += [f"column {name} is missing{_nearest(name, extra)}" for name in declared if name not in text.columns]
    if text.frame.height == 0:
        return Validated(pl.DataFrame(), [*errors, "it has a header but no rows"], notes)

    present = [column for column in columns if column.name in text.columns]
    # One select for all columns, so that polars works on them in parallel.
    typed = text.frame.select(ROW, *(_typed(column) for column in present))
    for column in present:
        errors += [f"column {column.name}: {problem}" for problem in _problems(text, typed, column)]
        notes += [f"column {column.name}: {note}" for note in _remarks(typed[column.name], column)]
    whole = [pl.col(column.name).cast(pl.Int64, strict=False) for column in present if column.kind == "integer"]
    return Validated(typed.drop(ROW).with_columns(whole), errors, notes)


def _typed(column: Column) -> pl.Expr:
    """The column as numbers (not yet whole) or stripped text, every spelling of missing and all else unusable null."""
    cell = pl.col(column.name)
    if column.numeric:
        number = cell.cast(pl.Float64, strict=False)
        # Blanks around a number are rare; they are stripped only where the plain reading fails.
        spaced = cell.str.strip_chars().cast(pl.Float64, strict=False)
        return pl.when(number.is_null() & cell.is_not_null()).then(spaced).otherwise(number).fill_nan(None)
    stripped = cell.str.strip_chars()
    return pl.when(_is_missing(stripped)).then(None).otherwise(stripped).alias(column.name)


def _is_missing(stripped: pl.Expr) -> pl.Expr:
    # Few cells are this short, and lower-casing all would take as long as reading the file.
    longest = max(map(len, MISSING))
    return (stripped.str.len_bytes() <= longest) & stripped.str.to_lowercase().is_in(MISSING)


def _problems(text: TextTable, typed: pl.DataFrame, column: Column) -> list[str]:
    """Everything wrong with one column's values."""
    values = typed[column.name]
    problems = []

    def report(bad: pl.Series, what: str) -> None:
        if bad.any():
            problems.append(_message(text, column.name, bad, what))

    if column.numeric:
        cells = text.frame[column.name]
        unread = cells.is_not_null() & values.is_null()
        if unread.any():
            missing = text.frame.select(_is_missing(pl.col(column.name).str.strip_chars())).to_series()
            report(unread & ~missing.fill_null(True), f"not {'whole ' * (column.kind == 'integer')}numbers")
        infinite = values.is_infinite().fill_null(False)
        report(infinite, "not finite")
        if column.kind == "integer":
            report(~infinite & (values != values.round()).fill_null(False), "not whole numbers")
        if column.low is not None:
            report(~infinite & (values < column.low).fill_null(False), f"below {column.low:g} {column.unit}".rstrip())
        if column.high is not None:
            report(~infinite & (values > column.high).fill_null(False), f"above {column.high:g} {column.unit}".rstrip())
    if not column.nullable:
        empty = values.is_null()
        if column.numeric:
            empty &= text.frame.select(_is_missing(pl.col(column.name).str.strip_chars()).fill_null(True)).to_series()
        report(empty, "missing, which this column must not be")
    if column.unique:
        report(values.is_not_null() & values.is_duplicated(), "not unique")
    return problems


def _message(text: TextTable, name: str, bad: pl.Series, what: str) -> str:
    """`3 values are not numbers (line 5: 'forty', line 9: 'x', ...)`."""
    first = text.frame.filter(bad).select(ROW, name).head(MAX_SHOWN)
    shown = ", ".join(f"{text.place(row)}: {_short(value)}" for row, value in first.iter_rows())
    count = int(bad.sum())
    more = ", ..." if count > MAX_SHOWN else ""
    return f"{_count(count, 'value is', 'values are')} {what} ({shown}{more})"


def _count(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _short(value: str | None) -> str:
    if value is None:
        return "empty"
    return repr(value if len(value) <= 40 else value[:37] + "...")


def _remarks(values: pl.Series, column: Column) -> list[str]:
    """What is unusual about one column but stops nothing."""
    remarks = []
    if column.nullable and not column.train_only and values.null_count() == len(values):
        remarks.append("every value is missing")
    if column.known:
        remarks += unknown_categories(values, column.known, "not among the published values")
    return remarks


def unknown_categories(values: pl.Series, known: Sequence[str], why: str) -> list[str]:
    """A remark about values outside `known`, with how often each occurs."""
    counts = values.drop_nulls().value_counts(sort=True, name="rows")
    counts = counts.filter(~counts[values.name].is_in(list(known)))
    if counts.height == 0:
        return []
    shown = ", ".join(f"{_short(value)} ({rows:,})" for value, rows in counts.head(MAX_SHOWN).iter_rows())
    more = f" and {counts.height - MAX_SHOWN} more" if counts.height > MAX_SHOWN else ""
    return [f"{_count(int(counts['rows'].sum()), 'row holds a value', 'rows hold values')} {why}: {shown}{more}"]


def _nearest(name: str, extra: Sequence[str]) -> str:
    """A hint at a column of the file that was probably meant."""
    lower = {other.lower(): other for other in extra}
    close = get_close_matches(name.lower(), list(lower), n=1, cutoff=0.7)
    return f" (the file has {lower[close[0]]!r})" if close else ""
