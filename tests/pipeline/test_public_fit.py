"""`fusionnetx.fit` sees a frame as `fusionnetx init` sees a table."""

from pathlib import Path

import polars as pl
import pytest

from data.errors import DataError
from data.own.proposal import Said
from fusionnetx.table import recipe_for, write_frame

FRAME = pl.DataFrame(
    {
        "row": [f"r{i}" for i in range(80)],
        "who": [f"p{i // 2}" for i in range(80)],
        "Größe (mm)": [2.0 + i % 7 for i in range(80)],
        "seen": ["2023-01-02"] * 40 + ["2023-01-03"] * 40,
        "report": ["cells" if i % 4 == 0 else "clear" for i in range(80)],
        "malignant": [i % 4 == 0 for i in range(80)],
    }
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    write_frame(FRAME, tmp_path / "table.csv")
    return tmp_path / "table.csv"


def said(**more: object) -> Said:
    return Said(**{"target": "malignant", "group": "who", "lesion": "row", **more})  # type: ignore[arg-type]


def test_a_frame_is_seen_as_a_table_is(table: Path) -> None:
    made = recipe_for(table, said(), None, None, ["seed=7"])
    folder = made.recipe.data.folder
    assert folder is not None
    assert folder.positive == ("true",)
    assert folder.forbidden == ("report",)
    assert made.recipe.features.extra_columns == ("Größe (mm)",)
    assert made.recipe.image_models == ()
    assert made.recipe.seed == 7
    assert "report: it alone tells the answer with an AUC of 1.000; it is left out" in made.notes[0]
    assert "no feature is made of seen (date)" in made.notes[-1]


def test_a_column_that_is_kept_is_a_feature(table: Path) -> None:
    made = recipe_for(table, said(kept=("report",)), None, None, ())
    assert made.recipe.features.extra_columns == ("Größe (mm)", "report")


def test_answers_without_a_bad_one_are_asked_for(tmp_path: Path) -> None:
    write_frame(FRAME.with_columns(malignant=pl.Series(["A", "B"] * 40)), tmp_path / "t.csv")
    with pytest.raises(DataError, match=r"which is the positive one: say which, .*positive=\['A'\]"):
        recipe_for(tmp_path / "t.csv", said(), None, None, ())


def test_images_that_are_not_there_are_named(table: Path) -> None:
    (table.parent / "photos").mkdir()
    with pytest.raises(DataError, match="did you mean 'photos'"):
        recipe_for(table, said(), table.parent / "fotos", None, ())
