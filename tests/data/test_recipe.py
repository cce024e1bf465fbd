from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from data.recipe import READERS, DataRecipe, read_folder, read_test
from data.synthetic.stand_in import WRITERS


def test_every_reader_that_a_recipe_may_name_is_registered() -> None:
    assert set(get_args(DataRecipe.model_fields["reader"].annotation)) == set(READERS)


def test_every_data_set_has_a_twin() -> None:
    assert set(WRITERS) == set(READERS) - {"paired"}


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
