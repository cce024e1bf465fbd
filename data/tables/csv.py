"""A CSV file as a table of texts, or one message about why it is not one.

Copes with byte-order marks, any line ends and quoted line breaks; refuses other encodings, ragged rows and open quotes
with the lines where they are. What the texts mean is left to `data.tables.schema`.
"""

import csv
import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from data.errors import DataError, examples
from data.files import opened, read_whole
from data.tables.encodings import as_utf8

ROW = "_row"
"""Name of the column that keeps each row's place in the file, so that problems can be named by line."""

MAX_SHOWN = 3
MAX_COLUMNS = 4096
"""A table of lesions has tens. Hundreds of thousands of names, each compared with the declared ones, take minutes."""

MANY_LINES = 10_000
BLANK_LINE = re.compile(rb"(?m)^[ \t]*\r?\n")
COMPRESSED = (b"\x1f\x8b", b"x\x01", b"x\x9c", b"x\xda", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ")
"""First bytes of gzip, zlib, zstd, bzip2 and xz. polars would unpack some of them, however large they grow."""


@dataclass(frozen=True)
class TextTable:
    """The cells of a CSV file as they stand there; an empty cell is null."""

    name: str
    """File name, for messages."""
    frame: pl.DataFrame
    """Text columns, and `ROW`: the row's place in the file, from 0."""
    duplicated: tuple[str, ...]
    """Column names that occur more than once; the first is kept."""
    sha256: str
    one_row_per_line: bool
    sheets: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Columns of the other sheets of a workbook."""

    @property
    def columns(self) -> list[str]:
        """Column names as published."""
        return [name for name in self.frame.columns if name != ROW]

    def elsewhere(self, name: str) -> str:
        """Which other sheets have a column, for a message that this one does not; empty when none has."""
        having = [sheet for sheet, columns in self.sheets.items() if name in columns]
        return f"; sheet {examples(map(repr, having))} has it (--sheet, data.folder.sheet)" if having else ""

    def place(self, row: int) -> str:
        """Where a row is: its line, or its number where quoted line breaks make lines and rows differ."""
        return f"line {row + 2}" if self.one_row_per_line else f"row {row + 1}"


def read_csv(path: Path) -> TextTable:
    """Read a comma-separated UTF-8 file with a header, as data sets are published; DataError when it is none."""
    raw = bytes_of(path)
    digest = hashlib.sha256(raw).hexdigest()
    raw = plain(raw, path)
    header = _header(raw, path, ",")
    _refuse_other_separators(header, path)
    return _parsed(raw, path, digest, header, ",")


def parse_csv(raw: bytes, path: Path, digest: str, separator: str) -> TextTable:
    """The table in UTF-8 text with this separator; DataError when it is none."""
    return _parsed(raw, path, digest, _header(raw, path, separator), separator)


def _parsed(raw: bytes, path: Path, digest: str, header: list[str], separator: str) -> TextTable:
    """The table below a header that is known."""
    lines = raw.count(b"\n") + (not raw.endswith(b"\n"))
    # Every line takes room for every column: six million empty ones would take 5 GB.
    if lines > MANY_LINES and raw.count(separator.encode()) < (len(header) - 1) * (lines - MANY_LINES):
        if problem := _diagnosis(raw, path, separator):
            raise DataError(problem)
        if (blank := len(BLANK_LINE.findall(raw))) > MANY_LINES:
            raise DataError(f"{path} has {blank:,} empty lines. Was it edited or joined by hand? Remove them.")
    try:
        frame = pl.read_csv(raw, infer_schema=False, separator=separator)
    except (pl.exceptions.PolarsError, UnicodeDecodeError, OSError) as error:
        why = _diagnosis(raw, path, separator) or f"{path} is not a CSV file: {str(error).splitlines()[0]}."
        raise DataError(why) from error
    if frame.width != len(header):
        raise DataError(_diagnosis(raw, path, separator) or f"{path} has a header that cannot be read.")
    names, duplicated = _unique(header)
    frame.columns = names
    one_row_per_line = lines == frame.height + 1
    frame = frame.with_row_index(ROW)
    if frame.height and frame[:, 1].null_count():
        frame = frame.filter(~pl.all_horizontal(pl.exclude(ROW).is_null()))
    # A row that ends early leaves its last cells empty, and so does one with nothing in them: only counting tells.
    if frame.height and frame[:, -1].null_count() and (problem := _diagnosis(raw, path, separator)):
        raise DataError(problem)
    kept = [name for name in names if not name.startswith("\0")]
    # By brackets, because `select` takes names such as "*" and "^a$" for patterns.
    return TextTable(path.name, frame[[ROW, *kept]], duplicated, digest, one_row_per_line)


def bytes_of(path: Path) -> bytes:
    """What the file holds; DataError when there is none or it is of another kind."""
    # A pipe would be waited for, and a device may never end.
    if path.exists() and not path.is_file():
        raise DataError(f"{path} is not a file but a folder, pipe or device. Give a CSV file.")
    try:
        return read_whole(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def plain(raw: bytes, path: Path) -> bytes:
    """The text without byte-order mark and with line feeds; DataError when it is no text."""
    if raw[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise DataError(f"{path} is UTF-16 text. Save it as UTF-8.")
    if raw.startswith(COMPRESSED):
        raise DataError(f"{path} is compressed. Unpack it first.")
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    if not raw[:4096].strip() and not raw.strip():
        raise DataError(f"{path} is empty. Copy or unpack it again.")
    if b"\0" in raw:
        raise DataError(f"{path} is not text (it holds zero bytes). Is it an archive, or a spreadsheet saved as such?")
    if b"\n" not in raw:
        raw = raw.replace(b"\r", b"\n")
    return raw


def _header(raw: bytes, path: Path, separator: str) -> list[str]:
    """Column names, stripped of blanks."""
    try:
        cells = next(csv.reader(io.StringIO(raw[: 2**20].decode(errors="replace"), newline=""), delimiter=separator))
    except (csv.Error, StopIteration) as error:
        raise DataError(f"{path} has a header that cannot be read ({error}).") from error
    if len(cells) > MAX_COLUMNS:
        raise DataError(f"{path} has more than {MAX_COLUMNS:,} columns. Is it a table of lesions?")
    return [cell.strip() for cell in cells]


def _refuse_other_separators(header: list[str], path: Path) -> None:
    """A published table has commas; tables of one's own may have others (`data.tables.any_table`)."""
    for separator, word in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and separator in header[0]:
            raise DataError(f"{path} is separated by {word}. Save it with commas.")


def _unique(header: list[str]) -> tuple[list[str], tuple[str, ...]]:
    """Names with every repetition marked by a zero byte, and the names that are repeated."""
    names: list[str] = []
    repeated: list[str] = []
    for position, name in enumerate(header):
        if name in names or name == ROW:
            repeated.append(name)
            names.append(f"\0{position}")
        else:
            names.append(name)
    return names, tuple(dict.fromkeys(repeated))


def _diagnosis(raw: bytes, path: Path, separator: str) -> str | None:
    """Why a file is not a well-formed table, found slowly; None when it is one after all."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        shown = raw[max(error.start - 10, 0) : error.start + 10].decode("latin-1")
        return (
            f"{path} is not UTF-8: byte 0x{raw[error.start]:02x} in line {line} (read as latin-1: {shown!r}). "
            "Save it as UTF-8."
        )
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    width, begins, ragged = 0, 1, []
    try:
        for cells in reader:
            width = width or len(cells)
            if cells and len(cells) != width:
                ragged.append(f"line {begins}: {len(cells)}")
            begins = reader.line_num + 1
    except csv.Error as error:
        return f"{path} is not a well-formed CSV file: the row that begins in line {begins} cannot be read ({error})."
    return ragged_message(path, ragged, width)


def ragged_message(path: Path, ragged: Sequence[str], width: int) -> str | None:
    """What to say of rows that are not as long as the header: `line 3: 7`; None when there are none."""
    if not ragged:
        return None
    return (
        f"{path}: {len(ragged):,} rows do not have the header's {width} cells ({examples(ragged, MAX_SHOWN)}). "
        "Was the file cut off or edited by hand?"
    )


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
