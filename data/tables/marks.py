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
    ",": rf"^[+-]?(?:\d*(?:,\d+)?(?:[eE][+-]?\d+)?|[1-9]\d{{0,2}}(?:(?:\.\d{{3}})+|(?:{_SPACES}\d{{3}})+)(?:,\d+)?)$",
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


@dataclass(frozen=True)
class Told:
    """What cells tell of whether their column holds numbers; what the parts of a table tell adds up to the whole's."""

    held: int
    """Cells with a value."""
    numbers: dict[str, int]
    """How many of these are numbers, by decimal mark."""
    same: bool
    """Whether both marks give the same numbers."""
    marked: bool
    """Whether any has a point or a comma in it: whole numbers say nothing of the mark."""
    commas: bool

    def __add__(self, other: "Told") -> "Told":
        numbers = {mark: self.numbers.get(mark, 0) + other.numbers.get(mark, 0) for mark in DECIMALS}
        marked, commas = self.marked or other.marked, self.commas or other.commas
        return Told(self.held + other.held, numbers, self.same and other.same, marked, commas)

    @property
    def fitting(self) -> list[str]:
        """The marks that make numbers of all cells."""
        return [mark for mark, count in self.numbers.items() if count == self.held]

    @property
    def agreed(self) -> str | None:
        """The mark, where one alone fits or it does not matter."""
        return self.fitting[0] if len(self.fitting) == 1 or self.same else None


def told(cells: pl.Series, readings: Sequence[Reading]) -> Told:
    """What some cells tell under their readings."""
    first, *others = readings
    return Told(
        cells.count(),
        {one.mark: one.values.count() for one in readings},
        all(first.values.equals(other.values) for other in others),
        has_mark(cells),
        bool(cells.str.contains(",", literal=True).any()),
    )


@dataclass(frozen=True)
class Decided:
    """What all cells of a table say together."""

    marks: dict[str, str]
    """Of the columns of numbers."""
    mixed: tuple[str, ...]
    """Columns that hold numbers and other things."""
    two_ways: tuple[str, ...]
    """Columns of numbers of which nothing tells the mark."""


def decided(columns: dict[str, Told], form: TableForm, default: str = "") -> Decided:
    """Which columns hold numbers, and with which mark.

    `default` is the mark to take where the table does not say: a text with commas between its cells has points within.
    """
    numbers = {name: one for name, one in columns.items() if one.held and one.fitting}
    mixed = tuple(
        name
        for name, one in columns.items()
        if name not in numbers and one.held and (max(one.numbers.values()) > MOSTLY * one.held or name in form.numbers)
    )
    sure = {one.agreed for one in numbers.values() if one.agreed and one.marked}
    rest = form.decimal or (sure.pop() if len(sure) == 1 else "")
    marks, two_ways = {}, []
    for name, one in numbers.items():
        mark = one.agreed or rest or (default if not one.commas else "")
        if mark in one.fitting:
            marks[name] = str(mark)
        else:
            two_ways.append(name)
    return Decided(marks, mixed, tuple(two_ways))


def cells_of(text: TextTable, form: TableForm) -> dict[str, pl.Series]:
    """The cells of every column."""
    return {name: held(text.frame[name], form.missing) for name in text.columns}


def looked_at(cells: dict[str, pl.Series], form: TableForm) -> dict[str, tuple[pl.Series, tuple[Reading, ...]]]:
    """The columns that may hold numbers, and what they read as."""
    return {name: (one, readings_of(one, form.decimal)) for name, one in cells.items() if name not in form.texts}


def told_by(text: TextTable, form: TableForm) -> dict[str, Told]:
    """What a part of a table tells of its columns."""
    return {name: told(*one) for name, one in looked_at(cells_of(text, form), form).items()}


def spelled_as(text: TextTable, form: TableForm, marks: dict[str, str]) -> TextTable:
    """A part of a table, spelled as all of it told."""
    cells = cells_of(text, form)
    return rewritten(text, cells, {name: as_numbers(cells[name], mark) for name, mark in marks.items()})


def spell_plainly(text: TextTable, form: TableForm, *, default: str = "") -> Numbers:
    """Find the columns of numbers and spell these with a decimal point; DataError for what could be either of two."""
    cells = cells_of(text, form)
    seen = looked_at(cells, form)
    found = decided({name: told(*one) for name, one in seen.items()}, form, default)
    if found.mixed or found.two_ways:
        problems = [mixed(text, name, *seen[name]) for name in found.mixed]
        problems += [both_readings(text, name, *seen[name]) for name in found.two_ways]
        odd = {name: odd_spellings(*seen[name]) for name in found.mixed}
        raise UnclearTableError(f"{text.name}: " + "; ".join(problems), odd, found.two_ways)
    chosen = {name: next(one for one in seen[name][1] if one.mark == mark) for name, mark in found.marks.items()}
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


def has_mark(cells: pl.Series) -> bool:
    """Whether any cell has a point or a comma in it."""
    return bool(cells.str.contains(r"[.,]").any())


def mixed(text: TextTable, name: str, cells: pl.Series, readings: Sequence[Reading]) -> str:
    """What to say of a column of numbers with other things among them."""
    best = fullest(readings)
    odd = text.frame[ROW].filter(cells.is_not_null() & best.values.is_null())
    where = ", ".join(f"{text.place(row)}: {cells[i]!r}" for i, row in places(cells, best, odd))
    more = ", ..." if len(odd) > MAX_SHOWN else ""
    if len(readings) > 1 and all(one.values.count() for one in readings):
        marks = " and ".join(f"{one.values.count():,} with a {DECIMALS[one.mark]}" for one in readings)
        where = f"{where}; numbers: {marks}"
    return (
        f"column {name} holds {best.values.count():,} numbers and {len(odd):,} other cells ({where}{more}): correct "
        "these, or name their spelling in data.folder.missing if it means that there is no value, or the column in "
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
        one.values.cast(pl.String).alias(name) if (one := chosen.get(name)) and not one.plain else column.alias(name)
        for name, column in cells.items()
    ]
    return replace(text, frame=pl.DataFrame([text.frame[ROW], *columns]))


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
