import io
import math
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.tables.csv import read_csv
from data.tables.schema import MISSING, Column, Validated, unknown_categories, validate

COLUMNS = (
    Column("id", "text", nullable=False, unique=True),
    Column("target", "integer", low=0, high=1, nullable=False, train_only=True),
    Column("age", "number", "years", 0, 120),
    Column("angle", "integer", "degrees", 0, 180),
    Column("sex", "category", known=("female", "male")),
    Column("note", "text"),
)


def check(tmp_path: Path, text: str, columns: tuple[Column, ...] = COLUMNS) -> Validated:
    (tmp_path / "t.csv").write_text(text, encoding="utf-8", newline="")
    return validate(read_csv(tmp_path / "t.csv"), columns)


def one(tmp_path: Path, name: str, *cells: str) -> Validated:
    """Validate a table with one column and an id."""
    column = next(column for column in COLUMNS if column.name == name)
    lines = [f"{i},{cell}" for i, cell in enumerate(cells)]
    return check(tmp_path, "\n".join([f"id,{name}", *lines]) + "\n", (COLUMNS[0], column))


def test_a_good_table_is_typed_in_declared_order(tmp_path: Path) -> None:
    found = check(tmp_path, 'sex,id,target,note,angle,age\nmale,a,0,"x, y",20,45\n,b,1.0,<1/mm^2,20.0,\n')
    assert found.errors == []
    assert found.notes == []
    assert found.table.schema == pl.Schema(
        {"id": pl.String, "target": pl.Int64, "age": pl.Float64, "angle": pl.Int64, "sex": pl.String, "note": pl.String}
    )
    assert found.table.rows() == [("a", 0, 45.0, 20, "male", "x, y"), ("b", 1, None, 20, None, "<1/mm^2")]


@pytest.mark.parametrize("spelling", [*MISSING, "NA", "N/A", "Null", "None", "NaN", "NAN", " ", " na ", '""'])
@pytest.mark.parametrize("name", ["age", "angle", "sex", "note"])
def test_every_spelling_of_missing_is_null(tmp_path: Path, name: str, spelling: str) -> None:
    filled = {"age": "45", "angle": "20", "sex": "male", "note": "x"}[name]
    found = one(tmp_path, name, spelling, filled, spelling)
    assert found.errors == []
    assert found.table[name].is_null().to_list() == [True, False, True]


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    text = "id,target,Age,angle,sex,sex,extra\na,0,1,20.5,male,x,1\n,2,1,x,Male,x,1\na,,1,y,,x,1\n"
    found = check(tmp_path, text)
    assert found.errors == [
        "column sex occurs more than once",
        "column age is missing (the file has 'Age')",
        "column note is missing",
        "column id: 1 value is missing, which this column must not be (line 3: empty)",
        "column id: 2 values are not unique (line 2: 'a', line 4: 'a')",
        "column target: 1 value is above 1 (line 3: '2')",
        "column target: 1 value is missing, which this column must not be (line 4: empty)",
        "column angle: 3 values are not whole numbers (line 2: '20.5', line 3: 'x', line 4: 'y')",
    ]
    assert found.notes == [
        "columns that are not used: Age, extra",
        "column sex: 1 row holds a value not among the published values: 'Male' (1)",
    ]


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        (("forty", "1"), "1 value is not a number (line 2: 'forty')"),
        (("1", "2024-05-01", "1,5".join('""')), "2 values are not numbers (line 3: '2024-05-01', line 4: '1,5')"),
        (
            ("0x10", "1_000", "True", "1d3"),
            "4 values are not numbers (line 2: '0x10', line 3: '1_000', line 4: 'True', ...)",
        ),
        (
            ("inf", "-Infinity", "1e999"),
            "3 values are not finite (line 2: 'inf', line 3: '-Infinity', line 4: '1e999')",
        ),
        (("-5", "5"), "1 value is below 0 years (line 2: '-5')"),
        (("121", "1e30"), "2 values are above 120 years (line 2: '121', line 3: '1e30')"),
        (("x" * 100,), f"1 value is not a number (line 2: '{'x' * 37}...')"),
    ],
)
def test_bad_numbers_are_named_with_their_lines(tmp_path: Path, cells: tuple[str, ...], problem: str) -> None:
    assert one(tmp_path, "age", *cells).errors == [f"column age: {problem}"]


def test_numbers_are_read_as_python_reads_them(tmp_path: Path) -> None:
    cells = ["45", "45.0", " 45 ", "+4.5e1", "8.05E-13", ".5", "5.", "0", "-0.0"]
    found = one(tmp_path, "age", *cells)
    assert found.errors == []
    assert found.table["age"].to_list() == [float(cell) for cell in cells]


def test_a_target_that_is_not_zero_or_one(tmp_path: Path) -> None:
    for cell, what in (
        ("2", "above 1"),
        ("-1", "below 0"),
        ("0.5", "not a whole number"),
        ("yes", "not a whole number"),
        ("NA", "missing"),
    ):
        assert what in one(tmp_path, "target", "0", cell).errors[0]
    assert one(tmp_path, "target", "0", "1").errors == []


def test_empty_columns_are_noted_and_no_rows_is_an_error(tmp_path: Path) -> None:
    assert one(tmp_path, "age", "", "NA").notes == ["column age: every value is missing"]
    assert one(tmp_path, "age").errors == ["it has a header but no rows"]


def test_unknown_categories_are_counted() -> None:
    values = pl.Series("site", ["a", "b", "b", None, "c", "d", "e", "b"])
    (remark,) = unknown_categories(values, ["a", "b"], "nobody saw")
    assert remark.startswith("3 rows hold values nobody saw: ")
    assert set(remark.split(": ")[1].split(", ")) == {"'c' (1)", "'d' (1)", "'e' (1)"}
    assert unknown_categories(values, ["a", "c", "d", "e"], "x") == ["3 rows hold values x: 'b' (3)"]
    assert unknown_categories(values, ["a", "b", "c", "d", "e"], "x") == []


@settings(max_examples=100, deadline=None)
@given(values=st.lists(st.none() | st.floats(0, 120), min_size=1, max_size=20))
def test_numbers_written_by_python_come_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, values: list[float | None]
) -> None:
    out = io.StringIO()
    pl.DataFrame(
        {"id": [str(i) for i in range(len(values))], "age": [v if v is None else repr(v) for v in values]}
    ).write_csv(out)
    found = check(tmp_path_factory.getbasetemp(), out.getvalue(), (COLUMNS[0], COLUMNS[2]))
    assert found.errors == []
    got = found.table["age"].to_list()
    assert all(a is b is None or math.isclose(a, b, rel_tol=0, abs_tol=0) for a, b in zip(got, values, strict=True))


@settings(max_examples=150, deadline=None)
@given(
    cells=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8), min_size=1, max_size=5)
)
def test_any_text_is_a_number_missing_or_a_problem(tmp_path_factory: pytest.TempPathFactory, cells: list[str]) -> None:
    out = io.StringIO()
    ids = [str(i) for i in range(len(cells))]
    pl.DataFrame({"id": ids, "age": cells, "end": ids}).write_csv(out, quote_style="always")
    found = check(tmp_path_factory.getbasetemp(), out.getvalue(), (COLUMNS[0], COLUMNS[2]))
    bad = [cell for cell, value in zip(cells, found.table["age"], strict=True) if value is None]
    assert bool(found.errors) or all(cell.strip().lower() in MISSING for cell in bad)
