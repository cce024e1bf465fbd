import contextlib
import csv
import gzip
import hashlib
import io
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import DataError
from data.tables.csv import ROW, read_csv


def read(tmp_path: Path, raw: bytes) -> list[tuple[str | None, ...]]:
    (tmp_path / "t.csv").write_bytes(raw)
    return read_csv(tmp_path / "t.csv").frame.drop(ROW).rows()


@pytest.mark.parametrize(
    "raw",
    [
        b"a,b\n1,x\n2,\n",
        b"\xef\xbb\xbfa,b\n1,x\n2,\n",
        b"a,b\r\n1,x\r\n2,\r\n",
        b"a,b\r1,x\r2,\r",
        b"a,b\n1,x\n2,",
        b"a,b\n1,x\n2,\n\n\n",
        b"a,b\n\n1,x\n\n2,\n",
        b' a ,"b"\n"1",x\n2,\n',
    ],
    ids=["plain", "BOM", "CRLF", "CR", "no last line end", "blank end", "blank lines", "quotes"],
)
def test_every_common_form_of_the_same_table(tmp_path: Path, raw: bytes) -> None:
    assert read(tmp_path, raw) == [("1", "x"), ("2", None)]
    assert read_csv(tmp_path / "t.csv").columns == ["a", "b"]


def test_quoted_line_breaks_and_separators_stay_in_their_cell(tmp_path: Path) -> None:
    assert read(tmp_path, b'a,b\n"one\ntwo","x,""y"""\n3,4\n') == [("one\ntwo", 'x,"y"'), ("3", "4")]
    assert read_csv(tmp_path / "t.csv").place(1) == "row 2"


def test_places_count_blank_lines(tmp_path: Path) -> None:
    read(tmp_path, b"a,b\n1,x\n\n2,y\n")
    table = read_csv(tmp_path / "t.csv")
    assert [table.place(row) for row in table.frame[ROW]] == ["line 2", "line 4"]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "is empty"),
        (b" \r\n\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        ("a,b\n1,é\n".encode("utf-16"), "UTF-16"),
        ("a,b\n1,x\n2,Clínic\n".encode("latin-1"), r"not UTF-8: byte 0xed in line 3 .*Clínic.* Save it as UTF-8"),
        (b"PK\3\4\0\0", "not text"),
        (b"\x89HDF\r\n\x1a\n\0\0", "not text"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "is compressed"),
        (zlib.compress(b"a,b\n1,2\n"), "is compressed"),
        (b"a;b\n1;2\n", "semicolons"),
        (b"a\tb\n1\t2\n", "tabs"),
        (b"a,b\n1,2\n3\n4,5\n6\n", r"2 rows do not have the header's 2 cells \(line 3: 1, line 5: 1\)"),
        (b"a,b\n1,2\n3,4,5\n", r"1 rows do not have the header's 2 cells \(line 3: 3\)"),
        (b'a,b\n1,2\n"3,4\n5,6\n', "row that begins in line 3 cannot be read"),
        (b'a,b\n1,"x"y"\n', "row that begins in line 2 cannot be read"),
    ],
)
def test_what_is_no_table_is_named_with_its_lines(tmp_path: Path, raw: bytes, message: str) -> None:
    with pytest.raises(DataError, match=rf"t\.csv.*{message}"):
        read(tmp_path, raw)


def test_absent_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_csv(tmp_path / "none.csv")
    with pytest.raises(DataError, match="is not a file but a folder"):
        read_csv(tmp_path)


def test_header_alone_has_no_rows(tmp_path: Path) -> None:
    for raw in (b"a,b\n", b"a,b", b"a,b\n\n"):
        assert read(tmp_path, raw) == []


def test_repeated_columns_are_named_and_the_first_kept(tmp_path: Path) -> None:
    assert read(tmp_path, b"a,b,a,c,b,a\n1,2,3,4,5,6\n") == [("1", "2", "4")]
    assert read_csv(tmp_path / "t.csv").duplicated == ("a", "b")


def test_names_that_look_like_patterns_are_names(tmp_path: Path) -> None:
    assert read(tmp_path, b"a,*,^a$,a\n1,2,3,4\n") == [("1", "2", "3")]
    assert read_csv(tmp_path / "t.csv").columns == ["a", "*", "^a$"]


def test_sha256_is_that_of_the_file(tmp_path: Path) -> None:
    raw = b"\xef\xbb\xbfa\r\n1\r\n"
    read(tmp_path, raw)
    assert read_csv(tmp_path / "t.csv").sha256 == hashlib.sha256(raw).hexdigest()


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=6)


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(st.lists(cells, min_size=3, max_size=3), min_size=1, max_size=8))
def test_reads_what_the_csv_module_writes(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([["a", "b", "c"], *rows])
    got = read(tmp_path_factory.getbasetemp(), out.getvalue().encode())
    assert [tuple(cell or "" for cell in row) for row in got] == [tuple(row) for row in rows]


@settings(max_examples=200, deadline=None)
@given(raw=st.binary(max_size=60) | st.text('a,"\n\r;1 ', max_size=40).map(str.encode))
def test_any_bytes_give_a_table_or_one_message(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    with contextlib.suppress(DataError):
        assert isinstance(read(tmp_path_factory.getbasetemp(), raw), list)
