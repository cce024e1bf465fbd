"""A published table read in parts says what it says read whole: types, notes, order; else it is read whole."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.errors import DataError
from data.new_lesions import NewLesions, in_parts, new_lesions
from data.recipe import DataRecipe, read_test
from data.spill import Spill

RECIPE = DataRecipe(reader="ham10000")
HEADER = "image_id,lesion_id,age,sex,localization,remark"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.new_lesions.WHOLE_BYTES", 1)
    monkeypatch.setattr("data.new_lesions.PART_ROWS", 16)
    monkeypatch.setattr("data.tables.csv_parts.PART_BYTES", 700)


def test_empty_lines_are_no_rows(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", [*rows_of(60), "", *rows_of(90)[60:], ""])
    found = parts_of(path, tmp_path)
    assert found is not None
    assert pl.concat([part.table for part in found]).equals(read_test(RECIPE, path, None)[0].table)


def rows_of(count: int, age: str = "50") -> list[str]:
    return [f"I{i},L{i % 7},{age if i % 3 else ''},{'male' if i % 2 else 'unknown'},back,x" for i in range(count)]


def written(path: Path, rows: list[str], end: str = "\n", mark: str = "") -> Path:
    path.write_text(mark + end.join([HEADER, *rows]) + end, encoding="utf-8", newline="")
    return path


def parts_of(path: Path, tmp_path: Path) -> NewLesions | None:
    (tmp_path / "kept").mkdir(exist_ok=True)
    return in_parts(RECIPE, path, None, tmp_path / "kept")


@pytest.mark.parametrize(
    "path_and_form", [("\n", ""), ("\r\n", ""), ("\n", "\ufeff")], ids=["plain", "windows", "byte order mark"]
)
@pytest.mark.parametrize("age", ["50", "", "30.5"])
def test_parts_are_the_whole(tmp_path: Path, path_and_form: tuple[str, str], age: str) -> None:
    path = written(tmp_path / "t.csv", rows_of(100, age), *path_and_form)
    whole, _, notes = read_test(RECIPE, path, None)
    found = parts_of(path, tmp_path)
    assert found is not None
    parts = [part.table for part in found]
    assert [len(part) for part in parts] == [16] * 6 + [4]
    assert pl.concat(parts).equals(whole.table)
    assert parts[0].schema == whole.table.schema
    assert (found.notes, found.rows) == (notes, 100)
    assert (found.whole.task, found.whole.forbidden) == (whole.task, whole.forbidden)
    assert found.whole.fingerprint == whole.fingerprint
    groups = whole.groups.tolist()
    assert len({*zip(groups, found.patients.tolist(), strict=True)}) == len({*groups})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rows: [*rows, "I5,L1,50,male,back,x"],  # twice, in parts far apart
        lambda rows: [*rows, "I900,L1,old,male,back,x"],
        lambda rows: [*rows, "I900,L1,50"],
        lambda rows: [*rows[:60], 'I900,L1,50,male,"ba\nck",x', *rows[60:]],
        lambda rows: [*rows[:60], 'I900,L1,50,male,back,"x', *rows[60:]],
        lambda rows: [*rows[:60], 'I900,L1,50,male,back,"x\ny"', *rows[60:]],
        lambda rows: [*rows[:60], f"I900,L1,50,male,back,{'x' * 3000}", *rows[60:]],
        lambda rows: [],
    ],
    ids=["twice", "letters", "short", "two_lines", "open", "two_lines_at_the_end", "long", "none"],
)
def test_what_is_not_as_it_should_be_is_read_whole(tmp_path: Path, spoil: object) -> None:
    assert callable(spoil)
    path = written(tmp_path / "t.csv", spoil(rows_of(100)))
    assert parts_of(path, tmp_path) is None
    whole, parts = answer_of(lambda: read_test(RECIPE, path, None)[0].table), answer_of(lambda: table_of(path))
    assert parts == whole


def table_of(path: Path) -> pl.DataFrame:
    with new_lesions(RECIPE, path, None) as lesions:
        return pl.concat([part.table for part in lesions])


def answer_of(read: Callable[[], pl.DataFrame]) -> object:
    """The rows, or what is said of why there are none."""
    try:
        return read().rows()
    except DataError as error:
        return str(error)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(DataError), new_lesions(RECIPE, tmp_path / "pipe.csv", None):
        pass


def test_rows_put_aside_come_back_in_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"row": range(100), "number": rng.integers(0, 5, 100)})
    spill = Spill(tmp_path)
    for first in range(0, 100, 30):
        part = frame[first : first + 30]
        spill.add(part, part["number"].to_numpy())
    for number in range(5):
        assert spill.take(number).equals(frame.filter(pl.col("number") == number))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
