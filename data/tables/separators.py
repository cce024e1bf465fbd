"""What parts the cells of a text table: the separator that gives every row as many cells as the header.

Where two do, both readings are shown and nothing is guessed.
"""

import csv
import io
from pathlib import Path

from data.errors import DataError
from data.tables.form import SEPARATORS

SAMPLED_ROWS = 500
SAMPLED_BYTES = 2**20


def found_separator(raw: bytes, path: Path) -> str:
    """The separator of a UTF-8 text; DataError when two fit. A table of one column has none: a comma will do."""
    text = raw[:SAMPLED_BYTES].decode(errors="replace")
    if len(raw) > SAMPLED_BYTES:
        text = text[: text.rfind("\n") + 1] or text
    read = {separator: cells_by_row(text, separator) for separator in SEPARATORS}
    wide = {separator: rows for separator, rows in read.items() if rows and len(rows[0]) > 1}
    fitting = {separator: rows for separator, rows in wide.items() if len({len(row) for row in rows}) == 1}
    if len(fitting) > 1:
        shown = "; or ".join(f"by {SEPARATORS[separator]}: {reading(rows)}" for separator, rows in fitting.items())
        raise DataError(
            f"{path} can be read in two ways, {shown}. Say which in data.folder.separator "
            f"({' or '.join(map(repr, fitting))})."
        )
    # Where none fits, some row is broken: the reading with most columns is the one to report it in.
    candidates = fitting or wide
    return max(candidates, key=lambda separator: len(candidates[separator][0])) if candidates else ","


def cells_by_row(text: str, separator: str) -> list[list[str]]:
    """The first rows under one reading; blank lines are no rows."""
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
            if row:
                rows.append(row)
            if len(rows) == SAMPLED_ROWS:
                break
    except csv.Error:
        return rows[:-1]
    return rows


def reading(rows: list[list[str]]) -> str:
    """`3 columns, id | age | size; first row 1 | 50 | 3,5`."""
    header, first = (
        " | ".join(cell.strip()[:20] for cell in row[:5]) for row in (rows[0], rows[min(1, len(rows) - 1)])
    )
    return f"{len(rows[0])} columns ({header}), first row {first}"
