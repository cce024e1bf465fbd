"""Which cells are numbers, and what their marks mean: `1,5`, `1.234,5`, `1,234.5`, `1 234`.

Each column is read with a decimal point and with a decimal comma. Where one reading alone makes numbers of all of it,
that is the one. Where both do and differ (`1,234` may be 1234), the rest of the table decides, or else a person.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from data.errors import DataError, examples
from data.tables.csv import ROW, TextTable
from data.tables.form import DECIMALS, TableForm
from data.tables.schema import MISSING, without_missing

MOSTLY = 0.5
"""A column with a larger share of numbers than this, but not all, is a mistake or needs a word, never a category."""
MAX_SHOWN = 4
SAMPLED = 1000
"""Cells that mostly tell already."""
_THOUSANDS = r"^[+-]?[1-9]\d{0,2}([.,]\d{3})+$"

_SPACES = r"[ \x{a0}\x{202f}'’]"
_GROUPED = {
    ".": rf"^[+-]?[1-9]\d{{0,2}}(?:(?:,\d{{3}})+|(?:{_SPACES}\d{{3}})+)(?:\.\d+)?$",
    ",": rf"^[+-]?(?:\d+|[1-9]\d{{0,2}}(?:(?:\.\d{{3}})+|(?:{_SPACES}\d{{3}})+))?(?:,\d+)?(?:[eE][+-]?\d+)?$",
}
"""Numbers that a plain conversion does not take: with marks between thousands, or a decimal comma."""


@dataclass(frozen=True)
class Reading:
    """One column as numbers under one mark."""

    mark: str
    values: pl.Series
    """Null where a cell is no number, and where there is none."""
    plain: bool = False
    """Whether every number is spelled as a program spells it: then it is left to the digit as it stands there."""


class UnclearTableError(DataError):
    """Columns that can be read in two ways, or hold numbers and other things; a person must say a word about them."""

    def __init__(self, message: str, mixed: dict[str, tuple[str, ...]], two_ways: tuple[str, ...]) -> None:
        super().__init__(message)
        self.mixed = mixed
        """Columns of numbers with other things among them, and how these are spelled."""
        self.two_ways = two_ways
        """Columns whose mark may stand between thousands or before decimals."""


@dataclass(frozen=True)
class Numbers:
    """A table whose numbers are spelled plainly."""

    text: TextTable
    columns: frozenset[str]
    """Those that hold numbers alone."""
    marks: tuple[str, ...]
    """Decimal marks that were there."""
    example: str


def held(cells: pl.Series, missing: Sequence[str] = ()) -> pl.Series:
    """Cells without blanks around them; null where one says that there is no value."""
    spellings = {*MISSING, *(word.strip().lower() for word in missing)}
    return without_missing(cells.str.strip_chars(), spellings)


def as_numbers(cells: pl.Series, mark: str) -> Reading:
    """Cells as numbers under a decimal mark."""
    plain = cells.cast(pl.Float64, strict=False) if mark == "." else pl.Series([None], dtype=pl.Float64)
    if mark == "." and plain.null_count() == cells.null_count():
        return Reading(mark, plain, True)
    grouped = cells.zip_with(cells.str.contains(_GROUPED[mark]).fill_null(False), pl.Series([None], dtype=pl.String))
    thousands = "[,]|" if mark == "." else "[.]|"
    spelled = grouped.str.replace_all(thousands + _SPACES, "").str.replace(",", ".", literal=True)
    marked = spelled.cast(pl.Float64, strict=False)
    return Reading(mark, marked if mark == "," else plain.zip_with(plain.is_not_null(), marked))


def spell_plainly(text: TextTable, form: TableForm, *, default: str = "") -> Numbers:
    """Find the columns of numbers and spell these with a decimal point; DataError for what could be either of two.

    `default` is the mark to take where the table does not say: a text with commas between its cells has points within.
    """
    cells = {name: held(text.frame[name], form.missing) for name in text.columns}
    found: dict[str, tuple[Reading, ...]] = {}
    problems: list[str] = []
    odd: dict[str, tuple[str, ...]] = {}
    two_ways: list[str] = []
    for name, column in cells.items():
        if name in form.texts or column.null_count() == len(column):
            continue
        readings = readings_of(column, form.decimal)
        whole = tuple(one for one in readings if one.values.null_count() == column.null_count())
        if whole:
            found[name] = whole
        elif problem := mixed(text, name, column, readings, form):
            problems.append(problem)
            odd[name] = odd_spellings(column, readings)
    agreed = {name: agreeing(readings) for name, readings in found.items()}
    sure: set[str] = {one.mark for name, one in agreed.items() if one is not None and has_mark(cells[name])}
    rest = str(form.decimal or (sure.pop() if len(sure) == 1 else ""))
    for name, readings in found.items():
        if agreed[name] is None:
            mark = rest or (default if not cells[name].str.contains(",", literal=True).any() else "")
            agreed[name] = next((one for one in readings if one.mark == mark), None)
            if agreed[name] is None:
                problems.append(both_readings(text, name, cells[name], readings))
                two_ways.append(name)
    if problems:
        raise UnclearTableError(f"{text.name}: " + "; ".join(problems), odd, tuple(two_ways))
    chosen = {name: one for name, one in agreed.items() if one is not None}
    return Numbers(rewritten(text, cells, chosen), frozenset(chosen), marks_of(chosen, cells), shown(chosen, cells))


def readings_of(cells: pl.Series, decimal: str) -> tuple[Reading, ...]:
    """A column under each mark that is possible, or under the one that was named."""
    if decimal:
        return (as_numbers(cells, decimal),)
    point = as_numbers(cells, ".")
    # Most columns have numbers that are no thousands, whatever the mark: these need no second look.
    if point.plain and not maybe_thousands(cells):
        return (point,)
    return point, as_numbers(cells, ",")


def maybe_thousands(cells: pl.Series) -> bool:
    """Whether every mark in a column of numbers may stand between thousands."""
    marked = cells.str.contains(r"[.,]").fill_null(False)
    return all(
        bool(part.str.contains(_THOUSANDS).all()) for part in (cells.filter(marked).head(SAMPLED), cells.filter(marked))
    )


def agreeing(readings: tuple[Reading, ...]) -> Reading | None:
    """The reading of a column, where there is one alone or both give the same numbers."""
    first, *others = readings
    return first if all(first.values.equals(other.values) for other in others) else None


def has_mark(cells: pl.Series) -> bool:
    """Whether any cell has a point or a comma in it: whole numbers say nothing of the mark."""
    return bool(cells.str.contains(r"[.,]").any())


def mixed(text: TextTable, name: str, cells: pl.Series, readings: Sequence[Reading], form: TableForm) -> str:
    """What to say of a column of numbers with other things among them; empty when it is no such column."""
    best = fullest(readings)
    count, share = len(cells) - cells.null_count(), best.values.count()
    if share <= MOSTLY * count and name not in form.numbers:
        return ""
    odd = text.frame[ROW].filter(cells.is_not_null() & best.values.is_null())
    where = ", ".join(f"{text.place(row)}: {cells[i]!r}" for i, row in places(cells, best, odd))
    more = ", ..." if len(odd) > MAX_SHOWN else ""
    if len(readings) > 1 and all(one.values.count() for one in readings):
        marks = " and ".join(f"{one.values.count():,} with a {DECIMALS[one.mark]}" for one in readings)
        where = f"{where}; numbers: {marks}"
    return (
        f"column {name} holds {share:,} numbers and {len(odd):,} other cells ({where}{more}): correct these, or name "
        "their spelling in data.folder.missing if it means that there is no value, or the column in "
        "data.folder.categories if it holds no quantity"
    )


def fullest(readings: Sequence[Reading]) -> Reading:
    """The reading that makes most numbers."""
    return max(readings, key=lambda one: one.values.count())


def odd_spellings(cells: pl.Series, readings: Sequence[Reading]) -> tuple[str, ...]:
    """The different cells of a column of numbers that are none."""
    return tuple(cells.filter(cells.is_not_null() & fullest(readings).values.is_null()).unique().sort().to_list())


def places(cells: pl.Series, best: Reading, odd: pl.Series) -> list[tuple[int, int]]:
    """Positions and rows of the first odd cells."""
    at = (cells.is_not_null() & best.values.is_null()).arg_true().head(MAX_SHOWN).to_list()
    return list(zip(at, odd.head(MAX_SHOWN).to_list(), strict=True))


def both_readings(text: TextTable, name: str, cells: pl.Series, readings: Sequence[Reading]) -> str:
    """`column size: '1,234' may be 1234 (decimal point) or 1.234 (decimal comma)`."""
    at = next(i for i in range(len(cells)) if len({one.values[i] for one in readings}) > 1)
    may = " or ".join(f"{one.values[at]:.12g} ({DECIMALS[one.mark]})" for one in readings)
    where = text.place(text.frame[ROW][at])
    return f"column {name}: {cells[at]!r} ({where}) may be {may}; say which with data.folder.decimal ('.' or ',')"


def rewritten(text: TextTable, cells: dict[str, pl.Series], chosen: dict[str, Reading]) -> TextTable:
    """The table with its numbers spelled plainly; other columns stay as they are but for what is missing."""
    columns = [
        one.values.cast(pl.String).alias(name) if (one := chosen.get(name)) and not one.plain else cells[name]
        for name in text.columns
    ]
    frame = pl.DataFrame(
        [text.frame[ROW], *(column.alias(name) for column, name in zip(columns, text.columns, strict=True))]
    )
    return replace(text, frame=frame)


def marks_of(chosen: dict[str, Reading], cells: dict[str, pl.Series]) -> tuple[str, ...]:
    """The decimal marks that the table has, the point first."""
    found = {one.mark for name, one in chosen.items() if has_mark(cells[name])}
    return tuple(mark for mark in DECIMALS if mark in found)


def shown(chosen: dict[str, Reading], cells: dict[str, pl.Series]) -> str:
    """`3,5 is 3.5`: the first number that does not stand there as a program spells it."""
    for name, one in chosen.items():
        if one.mark == "," and has_mark(cells[name]):
            at = int(cells[name].str.contains(r"[.,]").fill_null(False).arg_true()[0])
            return f"{cells[name][at]} is {one.values[at]:.12g}, in {examples([name])}"
    return ""
