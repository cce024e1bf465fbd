"""What a table must look like, and every way in which it does not, found in one go.

A data set declares its columns; `validate` turns the texts of a CSV file into typed columns and lists all problems of
the file together, each with its count and the first offending rows. Reading the file is left to `data.tables.csv`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

import polars as pl

from data.ids import MOST_CHARACTERS
from data.tables.csv import MAX_SHOWN, ROW, TextTable

MAX_UNUSED = 10
"""Names of unused columns listed before the rest is counted."""
CONTROL = r"\p{Cc}"
"""Line breaks, terminal codes and the like, which in an identifier are damage, or somebody's trick on the next program
that prints it."""

MOST_OF_A_CELL = 10_000
"""Of a text that is no id: a remark may be a page long, not a book."""

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
    tallies: tuple["Tally", ...] = ()
    """What the notes on columns count, for a table that is read in parts."""


@dataclass(frozen=True)
class Tally:
    """What is counted of the values of a column; those of the parts of a table add up to those of the whole."""

    column: Column
    values: int
    """How many there are."""
    unknown: dict[str, int]
    """How often each occurs that is not among the published values."""

    def __add__(self, other: "Tally") -> "Tally":
        more = {name: self.unknown.get(name, 0) + count for name, count in other.unknown.items()}
        return Tally(self.column, self.values + other.values, self.unknown | more)

    @property
    def notes(self) -> list[str]:
        """What is unusual about the column but stops nothing."""
        empty = self.column.nullable and not self.column.train_only and not self.values
        remarks = ["every value is missing"] if empty else []
        remarks += unknown_remarks(self.unknown, "not among the published values")
        return [f"column {self.column.name}: {remark}" for remark in remarks]


def validate(text: TextTable, columns: Sequence[Column], likely: Sequence[str] | None = None) -> Validated:
    """Type the declared columns and list every problem; extra columns are left out and noted.

    `likely` are the columns among which a missing one is looked for; the extra ones when left out.
    """
    declared = [column.name for column in columns]
    known = set(declared)
    extra = [name for name in text.columns if name not in known]
    errors = [f"column {name} occurs more than once" for name in text.duplicated]
    notes = [f"columns that are not used: {_few(extra)}"] if extra else []
    if known.isdisjoint(text.columns):
        return Validated(pl.DataFrame(), [_another_table(text, declared)], [])
    errors += [
        f"column {name} is missing{text.elsewhere(name) or _nearest(name, extra if likely is None else likely)}"
        for name in declared
        if name not in text.columns
    ]
    if text.frame.height == 0:
        return Validated(pl.DataFrame(), [*errors, "it has a header but no rows"], notes)

    present = [column for column in columns if column.name in text.columns]
    # One select for all columns, so that polars works on them in parallel; what it cannot read is looked at below.
    first_reading = text.frame.select(
        pl.col(column.name).cast(pl.Float64, strict=False) if column.numeric else pl.col(column.name).str.strip_chars()
        for column in present
    )
    typed: list[pl.Series] = []
    tallies: list[Tally] = []
    for column in present:
        cells, values = text.frame[column.name], first_reading[column.name]
        values, empty = _numbers(cells, values) if column.numeric else _texts(values)
        errors += [f"column {column.name}: {problem}" for problem in _problems(text, column, values, empty)]
        unknown = unknown_values(values, column.known) if column.known else {}
        tallies.append(Tally(column, len(values) - values.null_count(), unknown))
        notes += tallies[-1].notes
        typed.append(values.cast(pl.Int64, strict=False) if column.kind == "integer" else values)
    return Validated(pl.DataFrame(typed), errors, notes, tuple(tallies))


def _numbers(cells: pl.Series, values: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Numbers, null where there is none, and where the cell says that there is none."""
    empty = cells.is_null() | values.is_nan().fill_null(False)
    unread = values.is_null() & ~empty
    if unread.any():
        stripped = cells.str.strip_chars()
        values = values.zip_with(~unread, stripped.cast(pl.Float64, strict=False))
        empty |= values.is_nan().fill_null(False) | (unread & stripped.str.to_lowercase().is_in(MISSING))
    return values.fill_nan(None), empty


def _texts(stripped: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Texts, null where the cell says that there is none, and where that is."""
    known = without_missing(stripped, MISSING)
    return known, known.is_null()


def without_missing(stripped: pl.Series, spellings: Collection[str]) -> pl.Series:
    """Texts, null where one is spelled (in lower case) as a value that is not there."""
    # Lower-casing every cell would take as long as reading the file; few different texts are this short.
    short = stripped.filter(stripped.str.len_chars() <= max(map(len, spellings))).unique()
    empty = short.filter(short.str.to_lowercase().is_in(list(spellings))).to_list()
    if not empty:
        return stripped
    return stripped.zip_with(~stripped.is_in(empty).fill_null(True), pl.Series([None], dtype=pl.String))


def _problems(text: TextTable, column: Column, values: pl.Series, empty: pl.Series) -> list[str]:
    """Everything wrong with one column's values."""
    checks: list[tuple[pl.Series, str, str]] = []
    if column.numeric:
        infinite = values.is_infinite().fill_null(False)
        wrong, whole = values.is_null() & ~empty, ""
        if column.kind == "integer":
            wrong, whole = wrong | (~infinite & (values != values.round()).fill_null(False)), "whole "
        checks.append((wrong, f"not a {whole}number", f"not {whole}numbers"))
        checks.append((infinite, "not finite", "not finite"))
        for limit, beyond, side in ((column.low, values.__lt__, "below"), (column.high, values.__gt__, "above")):
            if limit is not None:
                what = f"{side} {limit:g} {column.unit}".rstrip()
                checks.append((~infinite & beyond(limit).fill_null(False), what, what))
    if not column.nullable:
        what = "missing, which this column must not be"
        checks.append((empty, what, what))
    if not column.numeric:
        most = MOST_CHARACTERS if column.kind == "text" and not column.nullable else MOST_OF_A_CELL
        what = f"of more than {most:,} characters"
        checks.append(((values.str.len_chars() > most).fill_null(False), what, what))
    if column.kind == "text" and not column.nullable:
        controls = values.str.contains(CONTROL).fill_null(False)
        checks.append((controls, "with control characters", "with control characters"))
    if column.unique:
        checks.append((values.is_not_null() & values.is_duplicated(), "not unique", "not unique"))
    return [_message(text, column.name, bad, one, many) for bad, one, many in checks if bad.any()]


def _message(text: TextTable, name: str, bad: pl.Series, one: str, many: str) -> str:
    """`3 values are not numbers (line 5: 'forty', line 9: 'x', ...)`."""
    first = text.frame.filter(bad).select(ROW, name).head(MAX_SHOWN)
    shown = ", ".join(f"{text.place(row)}: {_short(value)}" for row, value in first.iter_rows())
    count = int(bad.sum())
    more = ", ..." if count > MAX_SHOWN else ""
    return f"{_count(count, f'value is {one}', f'values are {many}')} ({shown}{more})"


def _count(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _short(value: str | None) -> str:
    if value is None:
        return "empty"
    return repr(value if len(value) <= 40 else value[:37] + "...")


def unknown_categories(values: pl.Series, known: Sequence[str], remark: str) -> list[str]:
    """A remark about values outside `known`, with how often each occurs."""
    return unknown_remarks(unknown_values(values, known), remark)


def unknown_values(values: pl.Series, known: Sequence[str]) -> dict[str, int]:
    """How often each value outside `known` occurs."""
    counts = values.drop_nulls().value_counts(sort=True, name="rows")
    return dict(counts.filter(~counts[values.name].is_in(list(known))).iter_rows())


def unknown_remarks(counts: dict[str, int], remark: str) -> list[str]:
    """A remark about such values; none when there are none."""
    if not counts:
        return []
    most = sorted(counts.items(), key=lambda one: -one[1])[:MAX_SHOWN]
    shown = ", ".join(f"{_short(value)} ({rows:,})" for value, rows in most)
    more = f" and {len(counts) - MAX_SHOWN} more" if len(counts) > MAX_SHOWN else ""
    return [f"{_count(sum(counts.values()), 'row holds a value', 'rows hold values')} {remark}: {shown}{more}"]


def _another_table(text: TextTable, declared: Sequence[str]) -> str:
    """One sentence about a table that has none of the declared columns."""
    elsewhere = next((hint for name in declared if (hint := text.elsewhere(name))), "")
    return (
        f"it has none of the {len(declared)} columns {_few(declared)}; its first line is "
        f"{_short(','.join(text.columns))}{elsewhere}. Is its header missing, or is it another file?"
    )


def _few(names: Sequence[str]) -> str:
    """Some names, and how many more there are."""
    more = f" and {len(names) - MAX_UNUSED:,} more" if len(names) > MAX_UNUSED else ""
    return ", ".join(names[:MAX_UNUSED]) + more


def _nearest(name: str, extra: Sequence[str]) -> str:
    """A hint at a column of the file that was probably meant."""
    lower = {other.lower(): other for other in extra}
    close = get_close_matches(name.lower(), list(lower), n=1, cutoff=0.7)
    return f" (the file has {lower[close[0]]!r})" if close else ""
