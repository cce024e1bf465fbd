from pathlib import Path

import pytest

from data.errors import DataError
from data.tables.schema import Column, validate
from data.tables.text_rows import read_tab_separated


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_comments_are_skipped_and_lines_still_named(tmp_path: Path) -> None:
    path = write(tmp_path / "t.txt", "#Name\tAge\n#1\t1\nNAME\tAGE\r\nanna\t 50 \nberta\tforty\n\t7\n\t\n")
    text = read_tab_separated(path)
    assert text.frame.select("NAME", "AGE").rows() == [("anna", "50"), ("berta", "forty"), (None, "7")]
    checked = validate(text, [Column("NAME", "text", nullable=False), Column("AGE", "number")])
    assert checked.errors == [
        "column NAME: 1 value is missing, which this column must not be (line 6: empty)",
        "column AGE: 1 value is not a number (line 5: 'forty')",
    ]


def test_ragged_rows_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "t.txt", "#x\nA\tB\n1\t2\n1\n1\t2\t3\n")
    with pytest.raises(DataError, match=r"2 rows do not have the header's 2 cells \(line 4: 1, line 5: 3\)"):
        read_tab_separated(path)


def test_the_first_of_two_columns_of_one_name_is_kept_and_told(tmp_path: Path) -> None:
    text = read_tab_separated(write(tmp_path / "t.txt", "A\tB\tA\t\n1\t2\t3\t4\n"))
    assert text.duplicated == ("A",)
    assert text.frame.select("A", "B").rows() == [("1", "2")]
    assert text.columns == ["A", "B"]


def test_latin_1_is_read_and_what_is_no_text_refused(tmp_path: Path) -> None:
    assert read_tab_separated(write(tmp_path / "t.txt", "A\nné\n", "latin-1")).frame["A"].to_list() == ["né"]
    for content, told in (("#only\n", "is empty"), ("A\0\n", "zero bytes")):
        with pytest.raises(DataError, match=told):
            read_tab_separated(write(tmp_path / "t.txt", content))
    with pytest.raises(DataError, match="cannot be read"):
        read_tab_separated(tmp_path / "none.txt")
