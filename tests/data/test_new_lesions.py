"""A table read in parts says what it says read whole: types, notes, order; else it is read whole."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data.errors import DataError
from data.new_lesions import NewLesions, in_parts, new_lesions
from data.readers.folder import FolderRecipe
from data.recipe import DataRecipe, read_test
from data.spill import Spill

RECIPE = DataRecipe(reader="ham10000")
HEADER = "image_id,lesion_id,age,sex,localization,remark"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.new_lesions.WHOLE_BYTES", 1)
    monkeypatch.setattr("data.new_lesions.PART_ROWS", 16)
    monkeypatch.setattr("data.tables.csv.PART_BYTES", 700)
    monkeypatch.setattr("data.tables.parquet.PART_ROWS", 23)


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


def parts_of(path: Path, tmp_path: Path, recipe: DataRecipe = RECIPE, images: Path | None = None) -> NewLesions | None:
    (tmp_path / "kept").mkdir(exist_ok=True)
    return in_parts(recipe, path, images, tmp_path / "kept")


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


def own(**said: Any) -> DataRecipe:
    described = {"lesion": "id", "group": "person", "target": "answer", "positive": ("bad",), "categories": ("code",)}
    return DataRecipe(
        reader="folder", folder=FolderRecipe.model_validate({**described, "ignored": ("remark",), **said})
    )


def own_table(**more: Any) -> pl.DataFrame:
    """Numbers that only all rows together tell to be such, and to have a decimal comma or thousands."""
    rows = range(100)
    return pl.DataFrame(
        {
            "id": [f"Läsion {i}" for i in rows],
            "person": [f"P{i % 7}" for i in rows],
            "answer": ["?"] * 100,
            "code": [str(i % 3) for i in rows],
            "place": ["7" if i < 40 else "Rücken" for i in rows],
            "late": [None if i < 70 else "1,5" for i in rows],
            "large": [f"{1 + i % 9},{i:03d}" for i in rows],
            "small": [f"{i}" if i < 50 else f"{i},25" for i in rows],
            "empty": [None] * 100,
            "void": ["unklar" if i % 5 else str(i) for i in rows],
            "remark": [f"Text {i}" for i in rows],
            **more,
        }
    )


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("utf-8", {"separator": ";", "missing": ("unklar",)}),
        ("cp1252", {"missing": ("unklar",)}),
        ("latin-1", {"encoding": "latin-1", "missing": ("unklar",), "numbers": ("empty",)}),
        ("parquet", {"categories": ("void",), "numbers": ("empty",)}),
    ],
)
def test_parts_of_an_own_table_are_the_whole(tmp_path: Path, kind: str, said: dict[str, Any]) -> None:
    recipe, table = own(**said), own_table()
    if kind == "parquet":
        path = tmp_path / "t.parquet"
        numbers = table["small"].str.replace(",", ".", literal=True).cast(pl.Float64)
        table.with_columns(large=numbers, small=numbers.cast(pl.Int64)).write_parquet(path, row_group_size=40)
    else:
        path = tmp_path / "t.csv"
        path.write_text(table.write_csv(separator=";"), encoding=kind)
    whole, _, notes = read_test(recipe, path, None)
    found = parts_of(path, tmp_path, recipe)
    assert found is not None
    assert pl.concat([part.table for part in found]).equals(whole.table)
    assert found.whole.table.schema == whole.table.schema
    assert (found.notes, found.rows, found.whole.forbidden) == (notes, 100, whole.forbidden)
    assert found.whole.fingerprint == whole.fingerprint
    assert [whole.table.schema[name] for name in ("place", "large", "small")] == [pl.String, pl.Float64, pl.Float64]


def test_images_of_parts_are_those_that_the_table_names(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for i in (3, 50, 99):
        (tmp_path / "images" / f"P{i % 7}_{i % 3}.png").write_bytes(b"x")
    table = own_table(id=[f"L{i}" for i in range(100)]).unique(["person", "code"], maintain_order=True)
    table.write_csv(tmp_path / "t.csv", separator=";")
    recipe = own(image="{person}_{code}", missing=("unklar",), decimal=",")
    _, whole, _ = read_test(recipe, tmp_path / "t.csv", tmp_path / "images")
    found = parts_of(tmp_path / "t.csv", tmp_path, recipe, tmp_path / "images")
    assert found is not None
    assert whole is not None
    sources = [found.images(part) for part in found]
    assert len(sources) > 1
    assert sorted(name for one in sources if one for name in one.ids) == sorted(whole.ids) != []


@pytest.mark.parametrize(
    "table",
    [
        own_table(late=["1,234" if i < 60 else "x" for i in range(100)]),  # neither numbers nor others
        own_table(large=["1.234"] * 100, small=["5"] * 100, late=[None] * 100),  # a point or thousands?
        own_table(person=[None if i == 90 else "P" for i in range(100)]),
        own_table().rename({"person": "Person"}),
    ],
    ids=["mixed", "two ways", "nobody", "another name"],
)
def test_an_own_table_that_is_not_as_it_should_be_is_read_whole(tmp_path: Path, table: pl.DataFrame) -> None:
    recipe = own(missing=("unklar",), separator=";")
    table.write_csv(tmp_path / "t.csv", separator=";")
    assert parts_of(tmp_path / "t.csv", tmp_path, recipe) is None
    with pytest.raises(DataError, match=r"t\.csv"), new_lesions(recipe, tmp_path / "t.csv", None):
        pass


def test_a_workbook_and_damaged_parquet_are_read_whole(tmp_path: Path) -> None:
    recipe, table = own(categories=("void", "late", "large", "small")), own_table()
    table.write_parquet(tmp_path / "t.parquet")
    raw = (tmp_path / "t.parquet").read_bytes()
    for name, content in (("cut", raw[:-9]), ("spoiled", raw[:400] + bytes(60) + raw[460:]), ("book", b"PK")):
        path = tmp_path / (f"{name}.xlsx" if name == "book" else f"{name}.parquet")
        path.write_bytes(content)
        assert parts_of(path, tmp_path, recipe) is None
        with pytest.raises(DataError, match=path.name), new_lesions(recipe, path, None):
            pass


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
