"""A table of one's own as texts: CSV with any separator, decimal mark and encoding, a workbook, or parquet.

What a recipe does not say of the form is found out and told in one line; what can be read in two ways is an error.
Data sets as published are read by `data.tables.csv`, which takes the one form that they have.
"""

import csv
import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from data.errors import DataError, examples
from data.files import opened
from data.tables.csv import COMPRESSED, ROW, ReadWholeError, TextTable, bytes_of, csv_parts, parse_csv, plain, raw_parts
from data.tables.encodings import as_utf8, found_encoding, telling_word
from data.tables.form import FOUND_OUT, SEPARATORS, TableForm, Understood
from data.tables.marks import Told, decided, spell_plainly, spelled_as, told_by
from data.tables.near import with_files_beside
from data.tables.parquet import parquet_parts, read_parquet
from data.tables.workbook import read_workbook

MAX_BYTES = 4_000_000_000
SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".tab", ".xlsx", ".xlsm", ".parquet"})
"""Names of files that are taken for tables when a folder is searched for one."""


@dataclass(frozen=True)
class AnyTable:
    """A table, which of its columns hold numbers alone, and how it was read."""

    text: TextTable
    numbers: frozenset[str]
    understood: Understood


def read_any(path: Path, form: TableForm = FOUND_OUT) -> AnyTable:
    """Read a table of any form; DataError when it is none, or may be two."""
    refuse_unreadable(path)
    read, default = READERS.get(path.suffix.lower(), (text_file, ""))
    text, understood = read(path, form)
    if understood.kind == SEPARATORS[","]:
        default = "."
    numbers = spell_plainly(text, form, default=default)
    found = Understood(understood.kind, understood.encoding, understood.sample, numbers.marks, numbers.example)
    return AnyTable(numbers.text, numbers.columns, found)


@dataclass(frozen=True)
class AnyParts:
    """A table larger than memory: what there is to know of all of it, and its rows in parts."""

    columns: list[str]
    numbers: frozenset[str]
    texts: Callable[[], Iterator[TextTable]]


def any_parts(path: Path, form: TableForm = FOUND_OUT) -> AnyParts:
    """A table of any form in parts, as `read_any` reads it; `ReadWholeError` for a workbook and where anything is
    wrong."""
    try:
        refuse_unreadable(path)
        parts, default = text_parts(path, form) if path.suffix.lower() not in READERS else (other_parts(path), ".")
        columns: list[str] = []
        seen: dict[str, Told] = {}
        for text in parts():
            columns = columns or text.columns
            seen = {name: seen[name] + one if name in seen else one for name, one in told_by(text, form).items()}
        found = decided(seen, form, default)
    except (DataError, OSError) as error:
        raise ReadWholeError(str(error)) from error
    if found.mixed or found.two_ways:
        raise ReadWholeError(f"of no sure kind: {examples(found.mixed + found.two_ways)}")
    return AnyParts(columns, frozenset(found.marks), lambda: (spelled_as(text, form, found.marks) for text in parts()))


def text_parts(path: Path, form: TableForm) -> tuple[Callable[[], Iterator[TextTable]], str]:
    """A text in parts, and the decimal mark to take where it does not say."""
    encoding = form.encoding or found_encoding(raw_parts(path))
    if encoding.startswith("utf-16"):
        raise ReadWholeError("two bytes a letter")
    with opened(path) as (handle, _):
        head, _ = as_utf8(handle.read(SAMPLED_BYTES + 1), path, encoding)
    separator = form.separator or found_separator(plain(head, path), path)
    return partial(csv_parts, path, encoding, separator), "." if separator == "," else ""


def other_parts(path: Path) -> Callable[[], Iterator[TextTable]]:
    """A parquet file in parts."""
    if path.suffix.lower() != ".parquet":
        raise ReadWholeError("a workbook")

    def texts() -> Iterator[TextTable]:
        first = 0
        for frame in parquet_parts(path):
            yield as_texts(frame, path, first, "")
            first += len(frame)

    return texts


def refuse_unreadable(path: Path) -> None:
    """Look at what is there, and at its size, before anything of it is read."""
    if not path.exists():
        raise DataError(f"{path} cannot be read: No such file or directory{with_files_beside(path)}.")
    if path.is_file() and path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path} has {path.stat().st_size / 1e9:,.1f} GB. Is it a table of lesions?")
    if path.suffix.lower() in {".xls", ".ods", ".numbers"}:
        raise DataError(f"{path} is a spreadsheet of another kind. Save it as .xlsx or CSV.")


def text_file(path: Path, form: TableForm) -> tuple[TextTable, Understood]:
    """A text with something between its cells."""
    raw = bytes_of(path)
    digest = hashlib.sha256(raw).hexdigest()
    if raw.startswith(COMPRESSED):
        raise DataError(f"{path} is compressed. Unpack it first.")
    if raw.startswith(b"PK\x03\x04"):
        raise DataError(f"{path} is not text but a zip file. If it is a workbook, give it the suffix .xlsx.")
    if raw.startswith(b"PAR1"):
        raise DataError(f"{path} is not text but parquet. Give it the suffix .parquet.")
    utf8, encoding = as_utf8(raw, path, form.encoding)
    utf8 = plain(utf8, path)
    separator = form.separator or found_separator(utf8, path)
    text = parse_csv(utf8, path, digest, separator)
    return text, Understood(SEPARATORS[separator], encoding, telling_word(utf8))


def workbook(path: Path, form: TableForm) -> tuple[TextTable, Understood]:
    """A sheet of a workbook."""
    text, sheet = read_workbook(path, form.sheet)
    return text, Understood(f"workbook, sheet {sheet}", "")


def parquet(path: Path, _form: TableForm) -> tuple[TextTable, Understood]:
    """A parquet file."""
    frame, _ = read_parquet(path, "Write it again.")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return as_texts(frame, path, 0, digest), Understood("parquet", "")


def as_texts(frame: pl.DataFrame, path: Path, first: int, digest: str) -> TextTable:
    """Rows of a parquet file from a place on; types are believed, and spelled as texts for one way of checking."""
    nested = [name for name, kind in frame.schema.items() if kind.is_nested() or kind in (pl.Binary, pl.Object)]
    if nested:
        raise DataError(f"{path}: column {nested[0]} holds lists or bytes, which no feature is made of. Leave it out.")
    texts = frame.select(
        (pl.col(name).fill_nan(None) if kind.is_float() else pl.col(name)).cast(pl.String).alias(name)
        for name, kind in frame.schema.items()
        if name != ROW
    )
    return TextTable(path.name, texts.with_row_index(ROW, first), (), digest, False)


READERS: dict[str, tuple[Callable[[Path, TableForm], tuple[TextTable, Understood]], str]] = {
    ".xlsx": (workbook, "."),
    ".xlsm": (workbook, "."),
    ".parquet": (parquet, "."),
}
"""By suffix, with the decimal mark to take where the table does not say; other files are texts."""


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
