"""The MILK10k reader, on small folders in the published layout."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from data.errors import DataError
from data.files import sha256_of
from data.images.decode import pixels
from data.progress import silent
from data.readers import READERS
from data.readers.reading import BoundReader, FolderError
from data.schemas.milk10k import CONCEPTS, DIAGNOSES, FORBIDDEN, SUPPLEMENT, TRUTH
from data.synthetic import milk10k as twin
from data.synthetic.recipe import TwinRecipe

HEADER = [
    "lesion_id",
    "image_type",
    "isic_id",
    "attribution",
    "copyright_license",
    "image_manipulation",
    "age_approx",
    "sex",
    "skin_tone_class",
    "site",
    *CONCEPTS,
]
CLINICAL, DERMOSCOPIC = "clinical: close-up", "dermoscopic"

Row = dict[str, str]


def reader(name: str = "milk10k") -> BoundReader:
    return READERS[name].bind(None)


def row(lesion: str, kind: str, image: str, **cells: str) -> Row:
    concepts = dict.fromkeys(CONCEPTS, f"{0.1 + 0.5 * (kind == DERMOSCOPIC):.1f}")
    return {
        "lesion_id": lesion,
        "image_type": kind,
        "isic_id": image,
        "attribution": "MILK study team",
        "copyright_license": "CC-BY-NC",
        "image_manipulation": "altered" if kind == CLINICAL else "instrument only",
        "age_approx": "65.0",
        "sex": "female",
        "skin_tone_class": "3.0",
        "site": "head_neck_face",
        **concepts,
        **cells,
    }


def lesion_rows(lesion: str, number: int, **cells: str) -> list[Row]:
    return [
        row(lesion, CLINICAL, f"ISIC_{number}1", **cells),
        row(lesion, DERMOSCOPIC, f"ISIC_{number}2", **cells),
    ]


ROWS = [*lesion_rows("IL_1", 1), *lesion_rows("IL_2", 2, age_approx=""), *lesion_rows("IL_3", 3)]
ANSWERS = {"IL_3": "MEL", "IL_1": "BCC", "IL_2": "VASC"}


def write(folder: Path, rows: Sequence[Row] = ROWS, answers: dict[str, str] = ANSWERS, part: str = "Training") -> Path:
    """The tables, and images whose grey says of which kind they are."""
    lines = [",".join(HEADER), *(",".join(one[name] for name in HEADER) for one in rows)]
    (folder / f"MILK10k_{part}_Metadata.csv").write_text("\n".join(lines) + "\n")
    for one in rows:
        path = folder / f"MILK10k_{part}_Input" / one["lesion_id"] / f"{one['isic_id']}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        data = io.BytesIO()
        grey = 200 if one["image_type"] == DERMOSCOPIC else 50
        Image.fromarray(np.full((8, 8, 3), grey, np.uint8)).save(data, "JPEG")
        path.write_bytes(data.getvalue())
    if part == "Training":
        marks = [
            ",".join([lesion, *(str(float(name == one)) for name in DIAGNOSES)]) for lesion, one in answers.items()
        ]
        (folder / TRUTH).write_text("\n".join([",".join(["lesion_id", *DIAGNOSES]), *marks]) + "\n")
    return folder


def problems(folder: Path, name: str = "milk10k") -> str:
    with pytest.raises(FolderError) as caught:
        reader(name).read(folder)
    return str(caught.value)


def test_two_rows_of_images_become_one_row_of_a_lesion(tmp_path: Path) -> None:
    train = reader().read(write(tmp_path)).train
    assert train.ids.tolist() == train.groups.tolist() == ["IL_1", "IL_2", "IL_3"]
    assert [DIAGNOSES[code] for code in train.target] == ["BCC", "VASC", "MEL"]
    assert train.task.score == "macro_f1"
    assert train.task.probability_columns == DIAGNOSES
    assert train.table["isic_id_clinical"].to_list() == ["ISIC_11", "ISIC_21", "ISIC_31"]
    assert train.table["isic_id_dermoscopic"].to_list() == ["ISIC_12", "ISIC_22", "ISIC_32"]
    assert train.table["MONET_hair_clinical"].to_list() == [0.1] * 3
    assert train.table["MONET_hair_dermoscopic"].to_list() == [0.6] * 3
    assert train.table["age_approx"].to_list() == [65.0, None, 65.0]
    assert train.table.schema["skin_tone_class"] == pl.Int64


def test_networks_see_the_kind_that_the_reader_names(tmp_path: Path) -> None:
    folder = write(tmp_path)
    seen = {}
    for name in ("milk10k", "milk10k_clinical"):
        images = reader(name).read(folder).train_images
        assert images is not None
        assert images.ids.tolist() == ["IL_1", "IL_2", "IL_3"]
        seen[name] = int(pixels(images.read("IL_2")).mean())
    assert seen["milk10k"] > 190
    assert seen["milk10k_clinical"] < 60
    (folder / "MILK10k_Training_Input").rename(tmp_path / "elsewhere")
    assert reader("milk10k_tables").read(folder).train_images is None
    assert "MILK10k_Training_Input does not exist" in problems(folder)


def test_what_is_known_only_with_the_diagnosis_is_forbidden(tmp_path: Path) -> None:
    train = reader().read(write(tmp_path)).train
    assert train.forbidden == FORBIDDEN
    assert {"target", *DIAGNOSES, *SUPPLEMENT} == FORBIDDEN
    assert not (FORBIDDEN - {"target"}) & set(train.table.columns)


def test_the_test_part_is_read_where_it_is(tmp_path: Path) -> None:
    folder = write(write(tmp_path), lesion_rows("IL_9", 9), part="Test")
    data = reader().read(folder)
    assert data.test is not None
    assert data.test_images is not None
    assert data.test.ids.tolist() == data.test_images.ids.tolist() == ["IL_9"]
    assert "target" not in data.test.table.columns
    write(folder, lesion_rows("IL_2", 9), part="Test")
    assert "in both the training and the test part: 1 (IL_2)" in problems(folder)


def test_new_lesions_need_no_diagnosis(tmp_path: Path) -> None:
    folder = write(tmp_path)
    path = folder / "MILK10k_Training_Metadata.csv"
    cohort, images, notes = reader().read_test(path, folder / "MILK10k_Training_Input")
    assert not cohort.labelled
    assert images is not None
    assert images.ids.tolist() == cohort.ids.tolist() == ["IL_1", "IL_2", "IL_3"]
    assert notes == ()
    assert reader("milk10k_tables").read_test(path, folder)[1] is None
    with pytest.raises(DataError, match="nowhere does not exist"):
        reader().read_test(path, tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("rows", "answers", "said"),
    [
        (ROWS, {**ANSWERS, "IL_1": "XYZ"}, "lesions without exactly one diagnosis: 1 (IL_1)"),
        (ROWS, {"IL_1": "BCC", "IL_2": "NV"}, "lesions without a row in MILK10k_Training_GroundTruth.csv: 1 (IL_3)"),
        (ROWS, {**ANSWERS, "IL_7": "NV"}, "lesions without a row in MILK10k_Training_Metadata.csv: 1 (IL_7)"),
        ([*ROWS, row("IL_1", CLINICAL, "ISIC_9")], ANSWERS, "lesions with two images of one kind: 1 (IL_1)"),
        ([*ROWS[:-1], row("IL_3", "overview", "ISIC_9")], ANSWERS, "'clinical: close-up': 1 (overview)"),
        ([*ROWS[:-1], row("IL_3", DERMOSCOPIC, "ISIC_11")], ANSWERS, "column isic_id: 2 values are not unique"),
        ([*ROWS[:-1], row("IL_3", DERMOSCOPIC, "ISIC_9", MONET_hair="1.5")], ANSWERS, "column MONET_hair: 1 value is"),
    ],
)
def test_what_is_wrong_is_named(rows: list[Row], answers: dict[str, str], said: str, tmp_path: Path) -> None:
    assert said in problems(write(tmp_path, rows, answers))


def test_what_is_unusual_is_noted_and_read(tmp_path: Path) -> None:
    rows = [
        row("IL_1", CLINICAL, "ISIC_11", sex=""),
        row("IL_1", DERMOSCOPIC, "ISIC_12", sex="male"),
        row("IL_2", CLINICAL, "ISIC_21", site="trunk"),
        row("IL_2", DERMOSCOPIC, "ISIC_22", site="hand"),
        row("IL_3", CLINICAL, "ISIC_31"),
    ]
    data = reader().read(write(tmp_path, rows))
    assert data.train.table["sex"].to_list() == ["male", "female", "female"]
    assert data.train.table["site"].to_list() == ["head_neck_face", "trunk", "head_neck_face"]
    assert data.train_images is not None
    assert data.train_images.ids.tolist() == ["IL_1", "IL_2"]
    name = "MILK10k_Training_Metadata.csv"
    assert data.notes == (
        f"{name}: 1 lesions without a dermoscopic image (IL_3)",
        f"{name}: column site: the two rows of 1 lesions differ (IL_2); the first counts",
    )


def test_a_folder_without_the_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no MILK10k_Training_Metadata"):
        reader().read(tmp_path)


def test_the_answers_are_part_of_the_fingerprint(tmp_path: Path) -> None:
    before = reader().read(write(tmp_path)).train
    after = reader().read(write(tmp_path, answers={**ANSWERS, "IL_1": "NV"})).train
    assert before.fingerprint != after.fingerprint
    assert after.fingerprint != sha256_of(tmp_path / TRUTH)


def test_the_twin_has_every_diagnosis_two_images_and_something_to_learn(tmp_path: Path) -> None:
    twin.write(tmp_path, TwinRecipe(lesions=200, image_side=33), silent)
    data = reader().read(tmp_path)
    assert data.notes == ()
    assert np.bincount(data.train.target, minlength=11).min() >= twin.FEWEST
    assert data.test is not None
    assert len(data.test.ids) == 20
    vessels = dict(
        data.train.table.group_by("target").agg(pl.col("MONET_vasculature_vessels_dermoscopic").mean()).iter_rows()
    )
    assert vessels[DIAGNOSES.index("VASC")] > vessels[DIAGNOSES.index("NV")] + 0.4


def test_the_twin_without_images_has_the_same_tables(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    small, bare = TwinRecipe(lesions=40, image_side=33), tmp_path_factory.mktemp("bare")
    twin.write(tmp_path, small, silent)
    twin.write(bare, small, silent, images=False)
    tables = sorted(path.name for path in bare.iterdir())
    assert tables == sorted(path.name for path in tmp_path.glob("*.csv"))
    assert all((bare / name).read_bytes() == (tmp_path / name).read_bytes() for name in tables)
