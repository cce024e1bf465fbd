"""The generic reader, on the twin in the layout of PAD-UFES-20 and on small folders."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from data.errors import DataError
from data.progress import silent
from data.readers.folder import Folder, FolderRecipe
from data.synthetic.recipe import TwinRecipe

PAD: dict[str, Any] = {
    "lesion": "img_id",
    "group": "patient_id",
    "target": "diagnostic",
    "positive": ("BCC", "MEL", "SCC"),
    "images": "images",
    "forbidden": ("biopsed", "lesion_id"),
    "categories": ("fitspatrick",),
}

TABLE = "id,who,dx,age,side,code\na,p1,mel,50,L,1\nb,p1,nv,,R,2\nc,p2,nv,61.5,L,1\n"


def reader(**more: Any) -> Folder:
    return Folder(
        FolderRecipe(**{"lesion": "id", "group": "who", "target": "dx", "positive": ("mel",), "images": "", **more})
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "metadata.csv").write_text(TABLE)
    return tmp_path


def picture(path: Path, value: int) -> None:
    path.parent.mkdir(exist_ok=True)
    data = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(data, "PNG")
    path.write_bytes(data.getvalue())


def test_the_twin_reads(tmp_path: Path) -> None:
    pad_ufes = Folder(FolderRecipe(**PAD))
    pad_ufes.write_twin(tmp_path, TwinRecipe(lesions=40, image_side=33), silent)
    data = pad_ufes.read(tmp_path)
    train = data.train
    assert data.train_images is not None
    # The table names files; the folder knows them without suffix.
    assert train.ids[0].endswith(".png")
    assert data.train_images.ids.tolist() == sorted(train.ids.tolist())
    np.testing.assert_array_equal(train.target, train.table["diagnostic"])
    assert train.forbidden == {"diagnostic", "biopsed", "lesion_id"}
    assert train.table.schema["fitspatrick"].to_python() is str
    assert train.table.schema["diameter_1"].is_numeric()
    assert 1 < len(set(train.groups)) < len(train.ids)


def test_columns_are_typed_by_what_they_hold(folder: Path) -> None:
    table = reader(categories=("code",)).read(folder).train.table
    assert table["age"].to_list() == [50.0, None, 61.5]
    assert table["code"].to_list() == ["1", "2", "1"]
    assert reader().read(folder).train.table["code"].to_list() == [1.0, 2.0, 1.0]
    assert table["dx"].to_list() == [1, 0, 0]


def test_classes_in_the_order_named(folder: Path) -> None:
    train = reader(positive=(), classes=("nv", "mel")).read(folder).train
    assert train.target.tolist() == [1, 0, 0]
    assert train.task.probability_columns == ("mel",)


def test_without_a_group_every_row_is_one(folder: Path) -> None:
    train = reader(group="").read(folder).train
    assert train.groups.tolist() == ["a", "b", "c"]
    assert reader().read(folder).train_images is None


def test_images_are_named_by_a_pattern_of_columns(folder: Path) -> None:
    for name, value in (("a_L.png", 10), ("b_R.png", 20), ("overview.png", 30)):
        picture(folder / "shots" / name, value)
    data = reader(image="{id}_{side}", images="shots").read(folder)
    assert data.train_images is not None
    assert data.train_images.ids.tolist() == ["a", "b"]
    assert data.train_images.read("b") == (folder / "shots" / "b_R.png").read_bytes()


def test_lesions_to_predict_follow_the_types_of_the_training_table(folder: Path) -> None:
    (folder / "test.csv").write_text("id,who,age,side,code\nd,p3,,L,2\n")
    data = reader(test_metadata="test.csv").read(folder)
    assert data.test is not None
    # A column of the test table without a number is one all the same.
    assert data.test.table.schema["age"].is_numeric()
    assert not data.test.labelled
    cohort, images, _ = reader().read_test(folder / "test.csv", None)
    assert (cohort.ids.tolist(), images) == (["d"], None)
    (folder / "test.csv").write_text("id,who,age,side,code\na,p3,1,L,2\n")
    with pytest.raises(DataError, match=r"1 lesions are in both tables \(a\)"):
        reader(test_metadata="test.csv").read(folder)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"group": "patient"}, "column patient is missing"),
        ({"target": "diagnosis"}, "column diagnosis is missing"),
        ({"positive": ("scc",)}, "no row is scc, which the recipe names"),
        ({"positive": (), "classes": ("mel", "bcc")}, "nv: not named in data.folder.classes"),
        ({"lesion": "who"}, "column who: 2 values are not unique"),
        ({"metadata": "other.csv"}, "cannot be read"),
        ({"images": "none"}, "none does not exist"),
        ({"image": "{file}", "images": "."}, "column file is missing"),
        ({"categories": ("skin",)}, "column skin is missing"),
    ],
)
def test_what_the_recipe_names_must_be_there(folder: Path, more: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=told):
        reader(**more).read(folder)


@pytest.mark.parametrize(
    "more",
    [
        {"positive": ()},
        {"classes": ("a", "b")},
        {"positive": (), "classes": ("a",)},
        {"positive": (), "classes": ("a", "a")},
        {"positive": (), "classes": ("a", "b", "c"), "score": "pauc"},
        {"score": "accuracy"},
        {"lesions": "id"},
    ],
)
def test_impossible_recipes(more: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        reader(**more)


def test_packed_images_beside_the_table_are_named(folder: Path) -> None:
    (folder / "photos.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"photos does not exist .*; photos\.zip is beside it: unpack it first"):
        reader(images="photos").read(folder)


def test_a_table_of_another_form_reads_the_same(folder: Path) -> None:
    plain = reader().read(folder).train
    (folder / "metadata.csv").write_bytes(TABLE.replace(",", ";").replace("61.5", "61,5").encode("utf-16"))
    data = reader().read(folder)
    assert data.train.table.equals(plain.table)
    assert data.understood == ("metadata.csv: read as semicolons, decimal comma (61,5 is 61.5, in age), UTF-16",)


def test_what_the_recipe_says_of_columns_holds_for_a_table_with_gaps(folder: Path) -> None:
    (folder / "new.csv").write_text("id;who;age;side;code\nd;p3;;L;\n")
    cohort, _, _ = reader(numbers=("age", "code")).read_test(folder / "new.csv", None)
    assert cohort.table.schema["age"].is_numeric()
    assert cohort.table.schema["code"].is_numeric()
    with pytest.raises(ValidationError, match="'age' is named as something else"):
        reader(numbers=("age",), categories=("age",))


def test_letters_with_accents_are_the_same_in_a_table_and_in_a_files_name(folder: Path) -> None:
    import unicodedata

    (folder / "metadata.csv").write_text(TABLE.replace("a,p1", "Läsion,p1"), encoding="utf-8")
    picture(folder / "shots" / (unicodedata.normalize("NFD", "Läsion") + ".png"), 10)
    data = reader(images="shots").read(folder)
    assert data.train_images is not None
    assert data.train_images.ids.tolist() == ["Läsion"]
    assert data.train_images.read("Läsion")


def test_what_is_ignored_need_not_be_in_a_table_to_predict(folder: Path) -> None:
    (folder / "test.csv").write_text("id,who,age,code\nd,p3,,2\n")
    with pytest.raises(DataError, match="column side is missing"):
        reader(test_metadata="test.csv").read(folder)
    data = reader(test_metadata="test.csv", ignored=("side",)).read(folder)
    assert data.test is not None
    assert "side" not in data.train.table.columns
    assert data.notes == ("test.csv: column age: every value is missing",)
    with pytest.raises(ValidationError, match="ignored: 'who' is named as something that is read"):
        reader(ignored=("who",))
