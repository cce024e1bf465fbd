"""The three forms of PH2's table, brought into one: a text file, a workbook, and a CSV file of new lesions.

The text file is parted by bars (as published) or tabs, with a legend after its rows; its `Colors` cell lists numbers.
The workbook has its legend before the rows and an `X` per class and colour. Names of columns follow one spelling here.
"""

import re
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import polars as pl

from data.errors import DataError
from data.schemas.ph2 import COLOURS, DIAGNOSES
from data.tables.csv import TextTable, read_csv
from data.tables.text_rows import read_lines, text_table

MAX_WORKBOOK_BYTES = 50_000_000
"""Unpacked; the published workbook takes a hundredth of it."""

_OTHER_NAMES = {"name": "image_id", "image_name": "image_id", "colors": "colours"}


def read_table(path: Path) -> TextTable:
    """The table as texts with columns `image_id`, `clinical_diagnosis` (0, 1, 2) and the criteria that it has."""
    forms = {".txt": _from_text, ".xlsx": _from_workbook, ".csv": read_csv}
    form = forms.get(path.suffix.lower())
    if form is None:
        raise DataError(
            f"{path}: the table of PH2 is a .txt, .xlsx or .csv file, not {path.suffix or 'without suffix'}"
        )
    return _in_one_spelling(form(path))


def _from_text(path: Path) -> TextTable:
    """Rows from the header on to the first empty line or the word of the legend."""
    lines = list(enumerate(read_lines(path), 1))
    started = [place for place, (_, line) in enumerate(lines) if "Name" in line]
    if not started:
        raise DataError(f"{path} has no header with a column Name; is it the text file of PH2?")
    header, *rest = lines[started[0] :]
    rows = []
    for number, line in rest:
        if not line.strip(" |\t") or re.match(r"[|\s]*legend", line, re.IGNORECASE):
            break
        rows.append((number, _cells(line)))
    return text_table(path, _cells(header[1]), rows)


def _cells(line: str) -> list[str]:
    """Cells between tabs, or between single and double bars; the outer bars enclose nothing."""
    if "|" not in line:
        return line.rstrip("\t").split("\t") if line.count("\t") else [line]
    return line.strip().replace("||", "|").removeprefix("|").removesuffix("|").split("|")


def _from_workbook(path: Path) -> TextTable:
    """Rows of the first sheet from the one that begins with `Image Name` on."""
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        # A workbook is a zip file, and zip files state what they unpack to.
        with ZipFile(path) as packed:
            unpacked = sum(entry.file_size for entry in packed.infolist())
        if unpacked > MAX_WORKBOOK_BYTES:
            raise DataError(f"{path} unpacks to {unpacked / 1e6:,.0f} MB: no table of 200 lesions is that large")
        book = load_workbook(path, read_only=True, data_only=True)
    except (OSError, BadZipFile, InvalidFileException, KeyError) as error:
        raise DataError(f"{path} cannot be read as a workbook ({error}). Copy it again.") from error
    try:
        rows = [
            (number, ["" if value is None else str(value) for value in values])
            for number, values in enumerate(book.worksheets[0].iter_rows(values_only=True), 1)
        ]
    finally:
        book.close()
    started = [place for place, (_, cells) in enumerate(rows) if cells and _spelling(cells[0]) == "image_id"]
    if not started:
        raise DataError(f"{path} has no row that begins with 'Image Name'; is it the workbook of PH2?")
    (_, header), *rest = rows[started[0] :]
    body = [(number, cells) for number, cells in rest if cells and cells[0].strip()]
    return text_table(path, header, body)


def _spelling(name: str) -> str:
    """`Pigment Network (AT/T)` as pigment_network."""
    plain = re.sub(r"[^a-z0-9]+", "_", re.split(r"[\n(]", name.strip().lower())[0]).strip("_")
    return _OTHER_NAMES.get(plain, plain)


def _in_one_spelling(text: TextTable) -> TextTable:
    """Columns renamed; crosses and lists of colours turned into codes and counts."""
    frame = text.frame.rename({name: _spelling(name) for name in text.columns})
    if "clinical_diagnosis" not in frame.columns and set(DIAGNOSES) <= set(frame.columns):
        crosses = pl.concat_list(
            pl.when(pl.col(name).is_not_null()).then(pl.lit(str(i))) for i, name in enumerate(DIAGNOSES)
        )
        # Two crosses stay two codes, which is no number and will be refused with its line.
        code = crosses.list.drop_nulls().list.join(" and ").replace("", None)
        frame = frame.with_columns(code.alias("clinical_diagnosis")).drop(DIAGNOSES)
    if set(COLOURS) <= set(frame.columns):
        frame = frame.with_columns(pl.col(name).is_not_null().cast(pl.Int64).cast(pl.String) for name in COLOURS)
    elif "colours" in frame.columns:
        codes = pl.col("colours").fill_null("").str.extract_all(r"\d")
        frame = frame.with_columns(
            codes.list.contains(str(code)).cast(pl.Int64).cast(pl.String).alias(name)
            for code, name in enumerate(COLOURS, 1)
        ).drop("colours")
    return TextTable(text.name, frame, text.duplicated, text.sha256, text.one_row_per_line)
