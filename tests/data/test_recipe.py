"""The data part of a recipe: what it may say, and the reader it names."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

import data.readers
from data.cohort import Task
from data.progress import silent
from data.readers import READERS
from data.recipe import DataRecipe, read_folder, read_test, reader_of
from data.registry import Registry
from data.scores.scores import SCORES
from data.synthetic.recipe import TwinRecipe

OWN_TABLES = {
    "folder": {"lesion": "id", "target": "dx", "positive": ("mel",)},
    "pairing": {},
}
"""What a recipe must say for the readers that need to be told."""


def recipe_of(name: str) -> DataRecipe:
    table = READERS[name].table
    return DataRecipe.model_validate({"reader": name} | ({table: OWN_TABLES[table]} if table else {}))


@pytest.mark.parametrize("name", READERS)
def test_every_reader_can_be_named_by_a_recipe_and_writes_a_twin(name: str, tmp_path: Path) -> None:
    recipe = recipe_of(name)
    reader_of(recipe).write_twin(tmp_path, TwinRecipe(lesions=40, image_side=33), silent)
    assert any(tmp_path.rglob("*"))
    assert recipe.reader == name


@pytest.mark.parametrize("name", READERS)
def test_what_a_reader_says_of_its_task_is_what_it_reads(name: str) -> None:
    reader = READERS[name]
    assert (reader.task is None) == (reader.table is not None)
    if reader.task is not None:
        assert reader.task.score in SCORES
        assert reader.task.group_noun in {"patient", "lesion", "image"}
    assert reader.told_columns.site in ("", *reader.told_columns.columns)


def test_a_reader_that_nobody_knows_is_refused_with_the_nearest_and_all_known() -> None:
    with pytest.raises(ValidationError, match="no reader is called 'ham1000'; did you mean 'ham10000'") as caught:
        DataRecipe(reader="ham1000")
    assert all(repr(name) in str(caught.value) for name in READERS)


def test_the_registered_reader_reads(published: Path) -> None:
    assert read_folder(DataRecipe(), published).train.table.height == 12
    cohort, images, _ = read_test(DataRecipe(), published / "test-metadata.csv", published / "test-image.hdf5")
    assert images is not None
    assert cohort.ids.tolist() == images.ids.tolist()
    cohort, images, _ = read_test(DataRecipe(), published / "test-metadata.csv", None)
    assert (len(cohort.ids), images) == (3, None)


@pytest.mark.parametrize(
    "value",
    [
        {"reader": "kaggle"},
        {"image_size": 0},
        {"image_size": 224.0},
        {"image_size": "224"},
        {"max_missing_images": -0.1},
        {"max_missing_images": 1.5},
        {"max_missing_images": float("nan")},
        {"workers": 0},
        {"image_sise": 224},
        {"twin": {"lesions": 4}, "reader": "ph2"},
    ],
)
def test_impossible_values_are_refused(value: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DataRecipe.model_validate(value)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"reader": "folder"}, r"needs the table \[data.folder\]"),
        ({"reader": "paired"}, r"needs the table \[data.pairing\]"),
        ({"pairing": {}}, r"has no use for the table \[data.pairing\]"),
        ({"reader": "ph2", "synthetic": {}}, r"are \[data.twin\], not \[data.synthetic\]"),
        ({"twin": {}}, r"are \[data.synthetic\], not \[data.twin\]"),
    ],
)
def test_tables_of_another_reader_are_refused(value: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        DataRecipe.model_validate(value)


CLINIC = '''
"""A reader as somebody outside the project writes it: one CSV file, in one file."""

import polars as pl

from data.cohort import Cohort, DataFolder, Task
from data.readers.reading import Functions, Reader

TASK = Task(lesion="id", group="who", target="bad", score="auc")


def cohort(path, labelled):
    return Cohort(pl.read_csv(path), TASK, labelled, frozenset({"bad"}))


def read(folder):
    return DataFolder(cohort(folder / "lesions.csv", True), None, None, None)


def read_test(metadata_path, images_path):
    return cohort(metadata_path, False), None, ()


READER = Reader("clinic", bind=lambda _: Functions(read, read_test), task=TASK, has_images=False)
'''


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    folder = tmp_path / "lesions"
    folder.mkdir()
    (folder / "lesions.csv").write_text("id,who,bad,age\na,p,0,40\nb,q,1,50\n")
    return folder


def outside(where: Path, monkeypatch: pytest.MonkeyPatch) -> Registry[data.readers.Reader]:
    """A fresh registry that finds the reader's file beside the project's own."""
    (where / "clinic.py").write_text(CLINIC)
    monkeypatch.setattr(data.readers, "__path__", [*data.readers.__path__, str(where)])
    return Registry("data.readers", "READER", "reader")


def test_a_reader_is_found_by_its_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = outside(tmp_path, monkeypatch)
    assert set(found) == {*READERS, "clinic"}
    assert isinstance(found["clinic"].task, Task)


def test_a_reader_from_outside_is_named_by_a_recipe(
    clinic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = READERS.add(outside(tmp_path, monkeypatch)["clinic"])
    try:
        recipe = DataRecipe(reader="clinic", twin=TwinRecipe())
        folder = read_folder(recipe, clinic)
        assert folder.train.target.tolist() == [0, 1]
        assert not folder.invented
        assert read_test(recipe, clinic / "lesions.csv", None)[0].ids.tolist() == ["a", "b"]
        with pytest.raises(Exception, match=re.escape("has no synthetic twin: give a data folder with --data")):
            reader_of(recipe).write_twin(tmp_path, TwinRecipe(), silent)
    finally:
        READERS.remove(reader.name)
    with pytest.raises(ValidationError, match="no reader is called 'clinic'"):
        DataRecipe(reader="clinic")
