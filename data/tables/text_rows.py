"""Tables that are not comma-separated (cBioPortal's, PH2's, a workbook's sheet) as the texts that `validate` checks.

Where the rows of a file begin and end, and what parts their cells, is left to the reader of the data set.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from data.errors import DataError
from data.files import read_whole
from data.tables.csv import ROW, TextTable, ragged_message


def text_table(path: Path, header: Sequence[str], rows: Sequence[tuple[int, Sequence[str]]]) -> TextTable:
    """Rows with the lines they stand in (from 1) as a table; DataError when one has not as many cells as the header.

    Cells are stripped, and an empty one is null. Of columns of one name the first is kept; columns without one are
    left out.
    """
    names = [name.strip() for name in header]
    ragged = [f"line {line}: {len(cells)}" for line, cells in rows if len(cells) != len(names)]
    if problem := ragged_message(path, ragged, len(names)):
        raise DataError(problem)
    first = {name: place for place, name in reversed(list(enumerate(names))) if name}
    kept = sorted(first, key=lambda name: first[name])
    columns = {name: [cells[first[name]].strip() or None for _, cells in rows] for name in kept}
    # `TextTable.place` adds the header's line and counts from 1.
    frame = pl.DataFrame(
        {ROW: [line - 2 for line, _ in rows], **columns},
        schema={ROW: pl.Int64, **dict.fromkeys(kept, pl.String)},
    )
    duplicated = tuple(dict.fromkeys(name for place, name in enumerate(names) if name and first[name] != place))
    return TextTable(path.name, frame, duplicated, hashlib.sha256(path.read_bytes()).hexdigest(), True)


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 or Latin-1 text file without their ends; DataError when it cannot be read."""
    try:
        raw = read_whole(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    if b"\0" in raw:
        raise DataError(f"{path} is not text (it holds zero bytes). Save it as UTF-8 text, or unpack it first.")
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        return raw.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        return raw.decode("latin-1").splitlines()


def read_tab_separated(path: Path, comment: str = "#") -> TextTable:
    """Read a tab-separated file whose first line without a leading `comment` is its header (cBioPortal's form)."""
    lines = [(number, line) for number, line in enumerate(read_lines(path), 1) if not line.startswith(comment)]
    lines = [(number, line) for number, line in lines if line.strip()]
    if not lines:
        raise DataError(f"{path} is empty. Copy or download it again.")
    return text_table(path, lines[0][1].split("\t"), [(number, line.split("\t")) for number, line in lines[1:]])
