"""A sheet of a workbook (.xlsx) as a table of texts, with bounded work whatever the file holds.

The header is the first row with anything in it. Numbers, dates and truth values become texts as a program spells them,
so a workbook's decimal comma, which is only how it is shown, is no matter.
"""

import datetime
import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import polars as pl

from data.errors import DataError, examples
from data.tables.csv import MAX_COLUMNS, ROW, TextTable, ragged_message

MAX_UNPACKED_BYTES = 200_000_000
MAX_ROWS = 1_048_576
"""Rows that a sheet can have."""
MAX_CELLS = 20_000_000
MAX_CHARACTERS = 500_000_000


def read_workbook(path: Path, sheet: str = "") -> tuple[TextTable, str]:
    """The first sheet, or the named one, and its name; DataError when it cannot be read as a table."""
    from openpyxl import load_workbook

    refuse_oversized(path)
    # Damage inside shows as anything from a KeyError to an XML library's own complaint.
    try:
        with path.open("rb") as file:
            book = load_workbook(file, read_only=True, data_only=True)
            try:
                found = chosen_sheet(book, sheet, path)
                others = {
                    str(other.title): next(rows_of(other, path), (0, []))[1]
                    for other in book.worksheets
                    if other.title != found.title
                }
                return table_of(path, rows_of(found, path), others), str(found.title)
            finally:
                book.close()
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{path} cannot be read as a workbook ({one_line(error)}). Save it again.") from error


def refuse_oversized(path: Path) -> None:
    """A workbook is a zip file, and zip files state what they unpack to."""
    try:
        with ZipFile(path) as packed:
            unpacked = sum(entry.file_size for entry in packed.infolist())
    except (OSError, BadZipFile) as error:
        raise DataError(f"{path} cannot be read as a workbook ({one_line(error)}). Save it again.") from error
    if unpacked > MAX_UNPACKED_BYTES:
        raise DataError(f"{path} unpacks to {unpacked / 1e6:,.0f} MB, too much for a workbook. Save the sheet as CSV.")


def chosen_sheet(book: Any, name: str, path: Path) -> Any:
    """The sheet of that name, or the first."""
    sheets = {sheet.title: sheet for sheet in book.worksheets}
    if not sheets:
        raise DataError(f"{path} has no sheet with cells.")
    if name and name not in sheets:
        raise DataError(f"{path} has no sheet {name!r}; it has {examples(map(repr, sheets))} (data.folder.sheet)")
    return sheets[name] if name else next(iter(sheets.values()))


def rows_of(sheet: Any, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows with anything in them, with their numbers."""
    # What the file says of the sheet's size is not believed.
    sheet.reset_dimensions()
    cells = characters = 0
    for number, values in enumerate(islice(sheet.iter_rows(values_only=True), MAX_ROWS), 1):
        row = [spelled(value) for value in values]
        while row and not row[-1]:
            row.pop()
        cells, characters = cells + len(values), characters + sum(map(len, row))
        if len(row) > MAX_COLUMNS:
            raise DataError(f"{path} has more than {MAX_COLUMNS:,} columns. Is it a table of lesions?")
        if cells > MAX_CELLS or characters > MAX_CHARACTERS:
            raise DataError(f"{path} is too large for a workbook (row {number:,}). Save the sheet as CSV.")
        if row:
            yield number, row


def spelled(value: Any) -> str:
    """A cell as a program spells it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat(" ")
    return str(value).strip()


def table_of(path: Path, rows: Iterator[tuple[int, list[str]]], others: dict[str, list[str]]) -> TextTable:
    """The rows below the header as columns; rows may end early, but have nothing beyond the header."""
    _, header = next(rows, (0, []))
    further = "".join(f"; sheet {name!r} begins with {examples(row, 4)}" for name, row in others.items() if row)
    if not header:
        raise DataError(f"{path}: the sheet is empty{further}. Name the right one (--sheet, data.folder.sheet)")
    names = {}
    doubled = []
    for place, name in enumerate(header):
        if name and name in names:
            doubled.append(name)
        elif name and name != ROW:
            names[name] = place
    columns: dict[str, list[str | None]] = {name: [] for name in names}
    places, ragged = [], []
    for number, row in rows:
        if len(row) > len(header):
            ragged.append(f"line {number}: {len(row)}")
        places.append(number - 2)
        for name, place in names.items():
            columns[name].append((row[place] if place < len(row) else "") or None)
    if ragged and len(header) == 1:
        raise DataError(
            f"{path}: the first row holds {header[0]!r} alone, the rows below it more. If it is a title, delete it; "
            f"if the table is on another sheet, name it (--sheet, data.folder.sheet){further}"
        )
    if problem := ragged_message(path, ragged, len(header)):
        raise DataError(problem)
    frame = pl.DataFrame({ROW: places, **columns}, schema={ROW: pl.Int64, **dict.fromkeys(columns, pl.String)})
    return TextTable(
        path.name, frame, tuple(dict.fromkeys(doubled)), hashlib.sha256(path.read_bytes()).hexdigest(), True, others
    )


def one_line(error: Exception) -> str:
    """The first line of what went wrong."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
