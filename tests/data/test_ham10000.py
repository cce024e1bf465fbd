"""The HAM10000 reader, on small folders in the published layout."""

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.errors import DataError
from data.readers.ham10000 import Ham10000
from data.readers.reading import FolderError
from data.schemas.ham10000 import BINARY, DIAGNOSES, FORBIDDEN, METADATA, SEVEN_CLASSES, SOURCES

binary, seven_classes = Ham10000(BINARY), Ham10000(SEVEN_CLASSES)

ROWS = [
    ("HAM_1", "ISIC_1", "bkl", "histo", "80.0", "male", "scalp"),
    ("HAM_1", "ISIC_2", "bkl", "histo", "80.0", "male", "scalp"),
    ("HAM_2", "ISIC_3", "mel", "histo", "", "unknown", "back"),
    ("HAM_3", "ISIC_4", "nv", "follow_up", "45.0", "female", "unknown"),
]


def write(folder: Path, rows: list[tuple[str, ...]]) -> Path:
    header = "lesion_id,image_id,dx,dx_type,age,sex,localization"
    (folder / METADATA).write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n")
    for place, row in enumerate(rows):
        part = folder / f"HAM10000_images_part_{1 + place % 2}"
        part.mkdir(exist_ok=True)
        data = io.BytesIO()
        Image.fromarray(np.full((8, 8, 3), 40 * place, np.uint8)).save(data, "JPEG")
        (part / f"{row[1]}.jpg").write_bytes(data.getvalue())
    return folder


def test_two_classes_and_seven(tmp_path: Path) -> None:
    folder = write(tmp_path, ROWS)
    two, seven = binary.read(folder), seven_classes.read(folder)
    assert two.train.target.tolist() == [0, 0, 1, 0]
    assert [DIAGNOSES[code] for code in seven.train.target] == ["bkl", "bkl", "mel", "nv"]
    assert two.train.groups.tolist() == ["HAM_1", "HAM_1", "HAM_2", "HAM_3"]
    assert two.train.task.probability_columns == ("malignant",)
    assert seven.train.task.probability_columns == DIAGNOSES
    assert two.train_images is not None
    assert sorted(two.train_images.ids) == ["ISIC_1", "ISIC_2", "ISIC_3", "ISIC_4"]
    assert two.test is None


def test_unknown_is_missing_and_the_way_of_diagnosis_is_no_feature(tmp_path: Path) -> None:
    table = binary.read(write(tmp_path, ROWS)).train.table
    assert table["sex"].to_list() == ["male", "male", None, "female"]
    assert table["localization"].to_list()[3] is None
    assert {"dx", "dx_type", "target"} <= FORBIDDEN


def test_an_unknown_diagnosis_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path, [*ROWS, ("HAM_4", "ISIC_5", "scc", "histo", "50.0", "male", "back")])
    with pytest.raises(DataError, match="scc"):
        binary.read(folder)


def test_the_collection_of_an_image_is_a_place_to_hold_out_and_no_feature(tmp_path: Path) -> None:
    folder = write(tmp_path, ROWS)
    without = seven_classes.read(folder).train
    assert "dataset" not in without.table.columns
    (folder / SOURCES).write_text("image_id,dataset\nISIC_2,rosendahl\nISIC_1,vidir_modern\nISIC_3,rosendahl\n")
    found = seven_classes.read(folder)
    assert dict(found.train.table.select("image_id", "dataset").rows()) == {
        "ISIC_1": "vidir_modern",
        "ISIC_2": "rosendahl",
        "ISIC_3": "rosendahl",
        "ISIC_4": None,
    }
    assert found.train.table.drop("dataset").equals(without.table)
    assert "dataset" in found.train.forbidden
    assert found.train.fingerprint != without.fingerprint
    assert any("1 images of HAM10000_metadata.csv are not in it" in note for note in found.notes)
    (folder / SOURCES).write_text("image_id,dataset\nISIC_1,rosendahl\nISIC_1,vidir_modern\n")
    with pytest.raises(FolderError, match="ISIC_1"):
        seven_classes.read(folder)


def test_a_folder_without_the_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="HAM10000_metadata"):
        binary.read(tmp_path)


def test_images_to_predict_need_no_diagnosis(tmp_path: Path) -> None:
    folder = write(tmp_path, ROWS)
    lines = (folder / METADATA).read_text().splitlines()
    new = tmp_path / "new.csv"
    keep = (0, 1, 4, 5, 6)
    new.write_text("\n".join(",".join(line.split(",")[i] for i in keep) for line in lines) + "\n")
    cohort, images, notes = seven_classes.read_test(new, folder)
    assert not cohort.labelled
    assert not FORBIDDEN & set(cohort.table.columns)
    assert cohort.ids.tolist() == ["ISIC_1", "ISIC_2", "ISIC_3", "ISIC_4"]
    assert images is not None
    assert len(images.ids) == 4
    assert notes == ()
    # A table that has the diagnoses gives the same lesions, and no diagnosis.
    again, _, notes = seven_classes.read_test(folder / METADATA, None)
    assert again.table.equals(cohort.table)
    assert notes == ("HAM10000_metadata.csv: columns that are not used: dx, dx_type",)
    with pytest.raises(DataError, match="nowhere does not exist"):
        seven_classes.read_test(new, tmp_path / "nowhere")


@pytest.mark.real
@pytest.mark.skipif("FUSIONNETX_REAL" not in os.environ, reason="set FUSIONNETX_REAL to a folder of real data")
def test_the_published_counts() -> None:
    folder = Path(os.environ["FUSIONNETX_REAL"]) / "ham10000"
    train = seven_classes.read(folder).train
    assert train.table.height == 10_015
    assert len(np.unique(train.groups)) == 7_470
    assert np.bincount(train.target).tolist() == [6_705, 1_113, 1_099, 514, 327, 142, 115]


def test_the_archives_that_the_images_came_in_are_read(tmp_path: Path) -> None:
    unpacked, packed = tmp_path / "unpacked", tmp_path / "packed"
    for folder in (unpacked, packed):
        folder.mkdir()
        write(folder, ROWS)
    for part in sorted(path for path in packed.iterdir() if path.is_dir()):
        shutil.make_archive(str(part), "zip", part)
        shutil.rmtree(part)
    ours, theirs = binary.read(packed).train_images, binary.read(unpacked).train_images
    assert ours is not None
    assert theirs is not None
    assert ours.ids.tolist() == theirs.ids.tolist()
    assert all(ours.read(name) == theirs.read(name) for name in ours.ids.tolist())
    shutil.copy(packed / "HAM10000_images_part_1.zip", packed / "again.zip")
    images = binary.read(packed).train_images
    assert images is not None
    with pytest.raises(DataError, match="both have an image of ISIC_1"):
        _ = images.ids
