"""ISIC 2024 in the archive's own files: the same cohort as from Kaggle's."""

import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.errors import DataError
from data.images.sources import FolderImages, Hdf5Images
from data.images.zipped import ZippedImages
from data.readers import isic2024
from data.readers.reading import FolderError
from data.schemas.isic2024 import SCHEMA

AFTERWARDS = [column.name for column in SCHEMA if column.train_only and column.name != "target"]


def archive_of(published: Path, folder: Path, edition: str = "ISIC_2024_Training") -> Path:
    """The training part of Kaggle's files in the archive's form."""
    folder.mkdir()
    table = pl.read_csv(published / "train-metadata.csv", infer_schema=False)
    truth = table.select("isic_id", malignant=pl.col("target").cast(pl.Float64))
    # In another order, so that only the ids can join them.
    truth.write_csv(folder / f"{edition}_GroundTruth.csv")
    table.reverse().select("isic_id", *AFTERWARDS).write_csv(folder / f"{edition}_Supplement.csv")
    images = Hdf5Images(published / "train-image.hdf5")
    with zipfile.ZipFile(folder / f"{edition}_Input.zip", "w") as packed:
        for name in images.ids.tolist():
            packed.writestr(f"{edition}_Input/{name}.jpg", images.read(name))
        packed.writestr(f"{edition}_Input/metadata.csv", table.drop("target", *AFTERWARDS).write_csv())
        packed.writestr(f"{edition}_Input/license.txt", "CC-BY-NC")
    return folder


def problems(folder: Path) -> str:
    with pytest.raises(FolderError) as caught:
        isic2024.read(folder)
    return str(caught.value)


@pytest.mark.parametrize("edition", ["ISIC_2024_Training", "ISIC_2024_Permissive_Training"])
def test_the_archives_files_hold_the_same_cohort(edition: str, published: Path, tmp_path: Path) -> None:
    ours, theirs = isic2024.read(archive_of(published, tmp_path / "archive", edition)), isic2024.read(published)
    assert ours.train.table.equals(theirs.train.table.select(ours.train.table.columns))
    assert set(ours.train.table.columns) == set(theirs.train.table.columns)
    assert ours.train.forbidden == theirs.train.forbidden
    assert isinstance(ours.train_images, ZippedImages)
    assert theirs.train_images is not None
    assert ours.train_images.ids.tolist() == theirs.train_images.ids.tolist()
    name = str(ours.train.ids[3])
    assert ours.train_images.read(name) == theirs.train_images.read(name)
    assert ours.test is None
    assert ours.notes == ()


def test_an_archive_that_was_unpacked_is_read_too(published: Path, tmp_path: Path) -> None:
    folder = archive_of(published, tmp_path / "archive")
    whole = isic2024.read(folder)
    with zipfile.ZipFile(folder / "ISIC_2024_Training_Input.zip") as packed:
        packed.extractall(folder / "ISIC_2024_Training_Input")  # one folder in another, as it often comes out
    (folder / "ISIC_2024_Training_Input.zip").unlink()
    unpacked = isic2024.read(folder)
    assert isinstance(unpacked.train_images, FolderImages)
    assert unpacked.train.table.equals(whole.train.table)
    assert unpacked.train_images.ids.tolist() == unpacked.train.ids.tolist()


def test_a_supplement_with_everything_needs_no_other_table(published: Path, tmp_path: Path) -> None:
    folder = archive_of(published, tmp_path / "archive")
    whole = isic2024.read(folder)
    table = pl.read_csv(published / "train-metadata.csv", infer_schema=False)
    table.drop("target", "iddx_5").write_csv(folder / "ISIC_2024_Training_Supplement.csv")
    with zipfile.ZipFile(folder / "ISIC_2024_Training_Input.zip", "w") as packed:
        images = Hdf5Images(published / "train-image.hdf5")
        for name in images.ids.tolist():
            packed.writestr(f"{name}.jpg", images.read(name))
    read = isic2024.read(folder)
    assert read.notes == ("ISIC_2024_Training: columns known only with the diagnosis that are empty: iddx_5",)
    columns = [name for name in whole.train.table.columns if name != "iddx_5"]
    assert read.train.table.select(columns).equals(whole.train.table.select(columns))


def test_what_is_wrong_is_named(published: Path, tmp_path: Path) -> None:
    folder = archive_of(published, tmp_path / "archive")
    path = folder / "ISIC_2024_Training_Supplement.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *lines[2:]]) + "\n")
    assert "ISIC_2024_Training_Supplement.csv: 1 lesions are missing (ISIC_0000011)" in problems(folder)
    path.write_text("\n".join(["id" + lines[0][len("isic_id") :], *lines[1:]]) + "\n")
    assert "ISIC_2024_Training_Supplement.csv: column isic_id is missing" in problems(folder)
    path.unlink()
    (folder / "ISIC_2024_Training_Input.zip").unlink()
    said = problems(folder)
    assert "Supplement.csv cannot be read" in said
    assert "ISIC_2024_Training_Input.zip is missing, and so is the folder ISIC_2024_Training_Input" in said


def test_an_archive_that_ends_early_is_refused(published: Path, tmp_path: Path) -> None:
    folder = archive_of(published, tmp_path / "archive")
    path = folder / "ISIC_2024_Training_Input.zip"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="cannot be opened as a zip archive"):
        isic2024.read(folder)


def test_another_answer_is_another_fingerprint(published: Path, tmp_path: Path) -> None:
    folder = archive_of(published, tmp_path / "archive")
    before = isic2024.read(folder).train
    path = folder / "ISIC_2024_Training_GroundTruth.csv"
    path.write_text(path.read_text().replace("1.0", "0.0", 1))
    after = isic2024.read(folder).train
    assert before.fingerprint != after.fingerprint
    assert np.abs(before.target - after.target).sum() == 1
