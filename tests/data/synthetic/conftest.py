from pathlib import Path

import pytest

from data.synthetic.isic2024.cohort import DrawnLesions, draw_cohort, write_cohort
from data.synthetic.isic2024.recipe import SyntheticRecipe
from tests.data.synthetic.shared import TINY


@pytest.fixture(scope="module")
def large() -> tuple[DrawnLesions, DrawnLesions]:
    return draw_cohort(SyntheticRecipe(lesions=40_000, test_lesions=8_000))


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "cohort"
    write_cohort(folder, TINY, workers=1)
    return folder
