"""Tables as people have them: any separator, mark, encoding; workbooks and parquet; and bounded work on bad ones."""

import contextlib
import datetime
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from data.errors import DataError
from data.tables.any_table import read_any
from data.tables.csv import ROW
from data.tables.form import TableForm
from data.tables.marks import UnclearTableError

WORDS = [("id", "Größe (mm)", "Ort"), ("a", "3,5", "Rücken"), ("b", "4,25", "Fuß"), ("c", "", "Arm")]
NUMBERS = [3.5, 4.25, None]


def written(path: Path, rows: list[tuple[str, ...]], separator: str = ";", encoding: str = "utf-8") -> Path:
    path.write_bytes("\r\n".join(separator.join(row) for row in rows).encode(encoding))
    return path


def column(path: Path, name: str, form: TableForm | None = None) -> list[Any]:
    """A column as numbers where it is one, else as texts."""
    found = read_any(path, form or TableForm())
    cells = found.text.frame[name]
    return cells.cast(pl.Float64).to_list() if name in found.numbers else cells.to_list()


@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be"])
def test_every_separator_and_encoding_gives_the_same_table(tmp_path: Path, separator: str, encoding: str) -> None:
    path = written(tmp_path / "t.csv", WORDS, separator, encoding)
    assert column(path, "Größe (mm)") == NUMBERS
    assert column(path, "Ort") == ["Rücken", "Fuß", "Arm"]


def test_commas_with_quoted_decimal_commas(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", [("id", "size"), ("a", '"3,5"'), ("b", '"14,25"')], ",")
    assert column(path, "size") == [3.5, 14.25]


def test_what_was_understood_is_one_line(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", WORDS, ";", "latin-1")
    said = str(read_any(path).understood)
    assert said == "semicolons, decimal comma (3,5 is 3.5, in Größe (mm)), Latin-1 (as in Größe)"
    plain = read_any(written(tmp_path / "p.csv", [("id", "size"), ("a", "3.5")], ",")).understood
    assert plain.plain
    assert str(plain) == "commas, decimal point, UTF-8"


@pytest.mark.parametrize(
    ("cells", "separator", "numbers"),
    [
        (["1.234,5", "2"], ";", [1234.5, 2.0]),
        (["1,234.5", "2"], ";", [1234.5, 2.0]),
        (["1 234,5", "2"], ";", [1234.5, 2.0]),
        (["1'234.5", "2"], ";", [1234.5, 2.0]),
        (["1.234.567", "2"], ";", [1234567.0, 2.0]),
        (["-0,5", "+1,5"], ";", [-0.5, 1.5]),
        (["1e3", "2,5e-1"], ";", [1000.0, 0.25]),
        (["0.123", "1.234"], ";", [0.123, 1.234]),
        (["1.234", "5.678"], ",", [1.234, 5.678]),
        (["5", "60"], ";", [5.0, 60.0]),
    ],
)
def test_marks_between_thousands_and_before_decimals(
    tmp_path: Path, cells: list[str], separator: str, numbers: list[float]
) -> None:
    rows = [("id", "x"), *((f"r{i}", cell) for i, cell in enumerate(cells))]
    assert column(written(tmp_path / "t.csv", rows, separator), "x") == numbers


def test_the_rest_of_the_table_decides(tmp_path: Path) -> None:
    rows = [("id", "x", "y"), ("a", "1.234", "0,5"), ("b", "5.678", "1,25")]
    assert column(written(tmp_path / "t.csv", rows), "x") == [1234.0, 5678.0]


def test_two_readings_are_an_error_that_shows_both(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", [("id", "x"), ("a", "1,234"), ("b", "5,678")])
    message = r"column x: '1,234' \(line 2\) may be 1234 \(decimal point\) or 1.234 \(decimal comma\); say which"
    with pytest.raises(UnclearTableError, match=message):
        read_any(path)
    assert column(path, "x", TableForm(decimal=",")) == [1.234, 5.678]
    assert column(path, "x", TableForm(decimal=".")) == [1234.0, 5678.0]


def test_two_separators_are_an_error_that_shows_both(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", [("id,who", "x,y"), ("1,2", "3,4")])
    with pytest.raises(
        DataError, match=r"in two ways, by commas: 3 columns .*; or by semicolons: 2 columns .*separator"
    ):
        read_any(path)
    assert read_any(path, TableForm(separator=",")).text.columns == ["id", "who;x", "y"]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["50", "60", "ca. 70"], ["2 numbers and 1 other", "line 4: 'ca. 70'", "data.folder.missing", "categories"]),
        (["1,5", "2.5", "3"], ["numbers: 2 with a decimal point and 2 with a decimal comma"]),
    ],
)
def test_numbers_with_other_things_are_never_categories_in_silence(
    tmp_path: Path, cells: list[str], words: list[str]
) -> None:
    path = written(tmp_path / "t.csv", [("id", "x"), *((f"r{i}", cell) for i, cell in enumerate(cells))])
    with pytest.raises(UnclearTableError) as caught:
        read_any(path)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "x" not in read_any(path, TableForm(texts=("x",))).numbers


def test_spellings_of_a_missing_value(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", [("id", "x"), ("a", "5"), ("b", "Unbekannt"), ("c", "NA"), ("d", "7")])
    assert column(path, "x", TableForm(missing=("unbekannt",))) == [5.0, None, None, 7.0]


@pytest.fixture
def book(tmp_path: Path) -> Path:
    made = Workbook()
    made.active.title = "Aufnahmen"
    for row in (
        (None,),
        ("id", "Größe (mm)", "Tag", "nass", "Text"),
        (1, 3.5, datetime.date(2023, 5, 1), True, "1,5"),
        (2, 4.0, datetime.date(2023, 5, 2), False, "2,5"),
        (None, None),
        (3, None, None, None, None),
    ):
        made.active.append(row)
    made.create_sheet("Andere").append(("name",))
    made.save(tmp_path / "t.xlsx")
    return tmp_path / "t.xlsx"


def test_a_workbook(book: Path) -> None:
    assert column(book, "Größe (mm)") == [3.5, 4.0, None]
    assert column(book, "Tag") == ["2023-05-01", "2023-05-02", None]
    assert column(book, "nass") == ["true", "false", None]
    assert column(book, "Text") == [1.5, 2.5, None]
    assert str(read_any(book).understood).startswith("workbook, sheet Aufnahmen, decimal point and decimal comma")
    assert read_any(book).text.place(int(read_any(book).text.frame[ROW][2])) == "line 6"


def test_a_named_sheet(book: Path) -> None:
    assert read_any(book, TableForm(sheet="Andere")).text.columns == ["name"]
    with pytest.raises(DataError, match="has no sheet 'andere'; it has 'Aufnahmen', 'Andere'"):
        read_any(book, TableForm(sheet="andere"))


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pl.DataFrame({"id": ["a", "b"], "x": [1.234, None], "d": [datetime.date(2023, 1, 2)] * 2}).write_parquet(path)
    assert column(path, "x") == [1.234, None]
    assert column(path, "d") == ["2023-01-02"] * 2
    pl.DataFrame({"id": ["a"], "x": [[1]]}).write_parquet(path)
    with pytest.raises(DataError, match="column x holds lists"):
        read_any(path)


def test_what_is_no_table_is_named(tmp_path: Path, book: Path) -> None:
    for name, raw, words in (
        ("a.csv", book.read_bytes(), "not text but a zip file. If it is a workbook"),
        ("a.xlsx", b"id;x\n1;2\n", "cannot be read as a workbook"),
        ("a.xls", b"\xd0\xcf\x11\xe0", "spreadsheet of another kind. Save it as .xlsx"),
        ("b.csv", b"\x1f\x8b\x08\x00", "is compressed"),
        ("c.csv", b"", "is empty"),
        ("d.csv", b"id;x\n1;2\n3\n", "do not have the header's 2 cells .line 3: 1."),
        ("e.csv", b"id;x\n1;\0\xff\xfe\n", "zero bytes"),
        ("f.parquet", b"PAR1 and more", "not a whole parquet file"),
    ):
        (tmp_path / name).write_bytes(raw)
        with pytest.raises(DataError, match=words):
            read_any(tmp_path / name)
    with pytest.raises(DataError, match=r"No such file or directory; did you mean 'a\.csv'"):
        read_any(tmp_path / "A.cvs")


def packed(path: Path, sheet: str) -> Path:
    """A workbook with this text as its sheet."""
    made = Workbook()
    made.active.append(("id",))
    made.save(path)
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    parts["xl/worksheets/sheet1.xml"] = sheet.encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in parts.items():
            new.writestr(name, data)
    return path


SHEET = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">{}</worksheet>'


@pytest.mark.parametrize(
    ("inside", "words"),
    [
        ('<dimension ref="A1:XFD1048576"/><sheetData/>', "the sheet is empty"),
        (
            '<sheetData><row r="1"><c r="A1"><v>1</v></c></row><row r="99999999999"><c r="A99999999999"><v>1</v></c>'
            "</row></sheetData>",
            None,
        ),
        ('<sheetData><row r="1"><c r="XFD1"><v>1</v></c></row></sheetData>', "more than 4,096 columns"),
        ("<sheetData><row", "cannot be read as a workbook"),
        ("<sheetData>" + " " * 3_000_000 + "</sheetData>", "unpacks to 3 MB, too much"),
    ],
    ids=["said to be huge", "a row far away", "a cell far away", "damaged", "a bomb"],
)
@pytest.mark.timeout(60)
def test_a_workbook_takes_bounded_work(
    tmp_path: Path, inside: str, words: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data.tables.workbook.MAX_UNPACKED_BYTES", 2_000_000)
    path = packed(tmp_path / "t.xlsx", SHEET.format(inside))
    if words is None:
        assert read_any(path).text.frame.height == 0
        return
    with pytest.raises(DataError, match=words):
        read_any(path)


@settings(max_examples=150, deadline=None)
@given(raw=st.binary(max_size=80) | st.text('ab,;|\t"\n1.5 ü', max_size=60).map(str.encode))
def test_any_bytes_give_a_table_or_one_message(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(raw)
    with contextlib.suppress(DataError):
        assert read_any(path).text.columns is not None
