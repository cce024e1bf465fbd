"""A CSV file part by part, for tables larger than memory; where lines are not rows, it has to be read whole.

A part is cut at a line's end and read like a file of its own. Where a row goes over several lines, or anything is wrong
that a message should name by its place in the file, there is one who reads all of it: `data.tables.csv.read_csv` for
published tables, `data.tables.any_table.read_any` for one's own.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from data.errors import DataError
from data.files import opened
from data.tables.csv import ROW, TextTable, parse_csv, plain
from data.tables.encodings import as_utf8

PART_BYTES = 2**23
"""Some 16,000 lesions of ISIC 2024."""


class ReadWholeError(Exception):
    """A part does not tell enough."""


def raw_parts(path: Path) -> Iterator[bytes]:
    """The bytes in parts that end where a line does."""
    rest = b""
    with opened(path) as (handle, _):
        while read := handle.read(PART_BYTES):
            if len(rest) > PART_BYTES:
                raise ReadWholeError("a line longer than any")
            lines, mark, rest = (rest + read).rpartition(b"\n")
            if mark:
                yield lines + mark
    if rest:
        yield rest


def csv_parts(path: Path, encoding: str = "utf-8", separator: str = ",") -> Iterator[TextTable]:
    """The rows in parts; their places are those in the file. `ReadWholeError` where that cannot be."""
    header, first = b"", 0
    try:
        for lines in raw_parts(path):
            raw = header + lines
            text = part_of(raw, path, encoding, separator)
            header = header or raw[: raw.index(b"\n") + 1]
            yield replace(text, frame=text.frame.with_columns(text.frame[ROW] + first))
            first += raw.count(b"\n") - 1
    except (DataError, OSError, ValueError) as error:
        raise ReadWholeError(str(error)) from error


def part_of(raw: bytes, path: Path, encoding: str, separator: str) -> TextTable:
    """A part with its header as a table."""
    if raw.count(b'"') % 2 or b"\n" not in raw:
        raise ReadWholeError("a cell goes over several lines")
    utf8, _ = as_utf8(raw, path, encoding)
    text = parse_csv(plain(utf8, path), path, hashlib.sha256(raw).hexdigest(), separator)
    if not text.one_row_per_line or not text.frame.height or len(text.columns) == 1:
        raise ReadWholeError("lines are not rows")
    return text
