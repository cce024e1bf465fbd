"""A table of one's own as texts: CSV with any separator, decimal mark and encoding, a workbook, or parquet.

What a recipe does not say of the form is found out and told in one line; what can be read in two ways is an error.
Data sets as published are read by `data.tables.csv`, which takes the one form that they have.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data.errors import DataError
from data.tables.csv import COMPRESSED, ROW, TextTable, bytes_of, parse_csv, plain
from data.tables.encodings import as_utf8, telling_word
from data.tables.form import FOUND_OUT, SEPARATORS, TableForm, Understood
from data.tables.marks import spell_plainly
from data.tables.near import with_files_beside
from data.tables.parquet import read_parquet
from data.tables.separators import found_separator
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
    """A parquet file; its types are believed, and spelled as texts for one way of checking."""
    frame, _ = read_parquet(path, "Write it again.")
    nested = [name for name, kind in frame.schema.items() if kind.is_nested() or kind in (pl.Binary, pl.Object)]
    if nested:
        raise DataError(f"{path}: column {nested[0]} holds lists or bytes, which no feature is made of. Leave it out.")
    texts = frame.select(
        (pl.col(name).fill_nan(None) if kind.is_float() else pl.col(name)).cast(pl.String).alias(name)
        for name, kind in frame.schema.items()
        if name != ROW
    )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return TextTable(path.name, texts.with_row_index(ROW), (), digest, False), Understood("parquet", "")


READERS: dict[str, tuple[Callable[[Path, TableForm], tuple[TextTable, Understood]], str]] = {
    ".xlsx": (workbook, "."),
    ".xlsm": (workbook, "."),
    ".parquet": (parquet, "."),
}
"""By suffix, with the decimal mark to take where the table does not say; other files are texts."""
