from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from data.recipe import READERS, DataRecipe


def test_every_reader_that_a_recipe_may_name_is_registered() -> None:
    assert set(get_args(DataRecipe.model_fields["reader"].annotation)) == set(READERS)


def test_the_registered_reader_reads(published: Path) -> None:
    assert READERS[DataRecipe().reader](published).train.table.height == 12


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
    ],
)
def test_impossible_values_are_refused(value: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DataRecipe.model_validate(value)
