"""The PH2 reader, on the twin and on small tables in the published forms."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data.errors import DataError
from data.images.decode import pixels
from data.progress import silent
from data.readers.ph2 import Ph2, masks
from data.readers.ph2_table import MAX_WORKBOOK_BYTES, read_table
from data.schemas.ph2 import BINARY, COLOURS, FORBIDDEN, THREE_CLASSES
from data.synthetic.recipe import TwinRecipe

binary, three_classes = Ph2(BINARY), Ph2(THREE_CLASSES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("ph2")
    binary.write_twin(made, TwinRecipe(lesions=50, image_side=33), silent)
    return made


BARS = """|| Name || Histological Diagnosis || Clinical Diagnosis || Asymmetry | Pigment Network | Colors ||
|| IMD003 ||              || 0 || 0 | T  | 3  4 ||
|| IMD009 || Melanoma     || 2 || 2 | AT | 1 5 6 ||

Legends:
|| not || a | row ||
"""

TABS = "Name\tClinical Diagnosis\tAsymmetry\nIMD003\t0\t0\nIMD009\t2\t2\nLegend\n0 - Common Nevus\n"


def test_the_workbook_and_the_text_say_the_same(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "PH2_dataset.xlsx").write_bytes((folder / "PH2_dataset.xlsx").read_bytes())
    text, book = three_classes.read(folder).train, three_classes.read(tmp_path).train
    assert text.table.equals(book.table.select(text.table.columns))
    assert np.bincount(text.target).tolist() == [20, 20, 10]
    assert text.groups.tolist() == text.ids.tolist()
    assert three_classes.read(folder).notes == ()


def test_two_classes_single_out_melanoma(folder: Path) -> None:
    two, three = binary.read(folder).train, three_classes.read(folder).train
    np.testing.assert_array_equal(two.target, three.target == 2)
    assert two.task.probability_columns == ("melanoma",)
    assert {"target", "clinical_diagnosis", "histological_diagnosis"} == FORBIDDEN == two.forbidden


def test_images_are_the_dermoscopic_ones_and_masks_are_apart(folder: Path) -> None:
    data = binary.read(folder)
    assert data.train_images is not None
    assert data.train_images.ids.tolist() == sorted(data.train.ids.tolist())
    outlines = masks(folder, data.train)
    assert outlines.ids.tolist() == data.train_images.ids.tolist()
    name = str(data.train.ids[0])
    picture, outline = pixels(data.train_images.read(name)), pixels(outlines.read(name))
    assert picture.shape == outline.shape
    assert set(np.unique(outline)) == {0, 255}
    # The lesion is darker than the skin around it.
    assert picture[outline[..., 0] > 0].mean() < picture[outline[..., 0] == 0].mean()


def test_bars_with_a_legend(tmp_path: Path) -> None:
    (tmp_path / "PH2_dataset.txt").write_text(BARS)
    table = binary.read(tmp_path).train.table
    assert table["image_id"].to_list() == ["IMD003", "IMD009"]
    assert table["target"].to_list() == [0, 1]
    assert table["histological_diagnosis"].to_list() == [None, "Melanoma"]
    assert table.select(COLOURS).rows() == [(0, 0, 1, 1, 0, 0), (1, 0, 0, 0, 1, 1)]
    assert "streaks" not in table.columns


def test_tabs_with_a_legend(tmp_path: Path) -> None:
    (tmp_path / "PH2_dataset.txt").write_text(TABS)
    assert three_classes.read(tmp_path).train.target.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace("|| 2 || 2", "|| 7 || 2"), "clinical_diagnosis: 1 value is above 2 .line 3: '7'"),
        (lambda text: text.replace("IMD009", "IMD003"), "image_id: 2 values are not unique"),
        (lambda text: text.replace("|| 0 || 0 | T ", "|| 0 || 0 "), "do not have the header's 6 cells .line 2: 5"),
        (lambda text: text.replace("Clinical", "Final"), "column clinical_diagnosis is missing"),
        (lambda text: text.replace("Name", "Who"), "no header with a column Name"),
    ],
)
def test_damage_is_named(tmp_path: Path, change: Callable[[str], str], told: str) -> None:
    (tmp_path / "PH2_dataset.txt").write_text(change(BARS))
    with pytest.raises(DataError, match=told):
        binary.read(tmp_path)


def test_two_crosses_in_the_workbook_are_no_diagnosis(folder: Path, tmp_path: Path) -> None:
    from openpyxl import load_workbook

    book = load_workbook(folder / "PH2_dataset.xlsx")
    book.active["C14"], book.active["E14"] = "X", "X"
    book.save(tmp_path / "PH2_dataset.xlsx")
    with pytest.raises(DataError, match=r"not a whole number \(line 14: '0 and 2'\)"):
        binary.read(tmp_path)


def test_a_folder_without_a_table_and_a_broken_workbook(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"neither PH2_dataset.txt nor PH2_dataset.xlsx"):
        binary.read(tmp_path)
    (tmp_path / "PH2_dataset.xlsx").write_bytes(b"PK nothing")
    with pytest.raises(DataError, match="cannot be read as a workbook"):
        binary.read(tmp_path)


def test_new_images_in_any_form(folder: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.csv"
    new.write_text("Image Name,Asymmetry (0/1/2),Streaks\nIMD_A,1,P\n")
    cohort, images, notes = binary.read_test(new, None)
    assert cohort.table.to_dicts() == [{"image_id": "IMD_A", "asymmetry": 1, "streaks": "P"}]
    assert (images, notes) == (None, ())
    published, images, _ = binary.read_test(folder / "PH2_dataset.txt", folder)
    assert not FORBIDDEN & set(published.table.columns)
    assert images is not None
    assert images.ids.tolist() == sorted(published.ids.tolist())


def test_a_workbook_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.xlsx", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/worksheets/sheet1.xml", bytes(MAX_WORKBOOK_BYTES + 1))
    with pytest.raises(DataError, match="unpacks to 50 MB"):
        read_table(tmp_path / "bomb.xlsx")
