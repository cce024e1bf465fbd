import csv
import json
from pathlib import Path

import cv2
import h5py
import numpy as np
import polars as pl
import pytest

import data.synthetic.isic2024.cohort as synthetic
from data.errors import DataError, Interrupted
from data.files import sha256_of
from data.synthetic.isic2024.cohort import TRAIN_COLUMNS, DrawnLesions, draw_cohort, write_cohort
from data.synthetic.isic2024.recipe import SyntheticRecipe
from tests.data.synthetic.shared import TINY, TRAIN_ONLY_COLUMNS, read


def test_files_have_the_published_columns_in_order(tiny_folder: Path) -> None:
    with (tiny_folder / "train-metadata.csv").open() as train, (tiny_folder / "test-metadata.csv").open() as test:
        train_header, test_header = next(csv.reader(train)), next(csv.reader(test))
    assert len(train_header) == 55
    assert len(test_header) == 44
    assert train_header[:3] == ["isic_id", "target", "patient_id"]
    assert train_header[-11:] == ["copyright_license", *TRAIN_ONLY_COLUMNS]
    assert test_header == [name for name in train_header if name != "target" and name not in TRAIN_ONLY_COLUMNS]
    assert "tbp_lv_dnn_lesion_confidence" not in test_header


def test_numbers_are_written_as_published(tiny_folder: Path) -> None:
    with (tiny_folder / "train-metadata.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert row["target"] in {"0", "1"}
        assert row["age_approx"] == "" or (row["age_approx"].endswith(".0") and float(row["age_approx"]) % 5 == 0)
        assert 0 <= int(row["tbp_lv_symm_2axis_angle"]) <= 175
        assert int(row["tbp_lv_symm_2axis_angle"]) % 5 == 0
    assert {name for name in rows[0] if rows[0][name] is None} == set()


def test_column_kinds(large: tuple[DrawnLesions, DrawnLesions]) -> None:
    kinds = large[0].table.schema
    assert tuple(kinds) == TRAIN_COLUMNS
    assert sum(kind == pl.Float32 for kind in kinds.values()) == 35
    assert sum(kind == pl.String for kind in kinds.values()) == 18
    assert {name for name, kind in kinds.items() if kind == pl.Int64} == {"target", "tbp_lv_symm_2axis_angle"}


def test_images_are_scalar_byte_strings_of_square_jpeg(tiny_folder: Path) -> None:
    for part in ("train", "test"):
        ids = read(tiny_folder / f"{part}-metadata.csv")["isic_id"].to_list()
        with h5py.File(tiny_folder / f"{part}-image.hdf5") as file:
            assert sorted(file) == sorted(ids)
            for lesion in ids:
                assert file[lesion].shape == ()
                assert file[lesion].dtype.kind == "S"
                encoded = bytes(file[lesion][()])
                assert encoded[:2] == b"\xff\xd8"
                tile = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
                assert tile.shape[0] == tile.shape[1]
                assert 61 <= tile.shape[0] <= 269
                assert tile.shape[2] == 3


def test_submission_and_answers_are_aligned(tiny_folder: Path) -> None:
    test = read(tiny_folder / "test-metadata.csv")
    sample = read(tiny_folder / "sample_submission.csv")
    answers = read(tiny_folder / "test-answers.csv")
    assert sample["isic_id"].to_list() == test["isic_id"].to_list() == answers["isic_id"].to_list()
    assert sample["target"].unique().to_list() == [0.3]
    assert answers["target"].sum() == TINY.test_counts.malignant
    for split in ("public", "private"):
        assert 0 < answers.filter(pl.col("split") == split)["target"].sum() < TINY.test_counts.malignant


def test_public_part_is_28_percent_of_each_class(large: tuple[DrawnLesions, DrawnLesions]) -> None:
    answers = synthetic._answers(large[1].table, np.random.default_rng(0))
    shares = answers.group_by("target").agg((pl.col("split") == "public").mean())
    assert shares["split"].to_list() == pytest.approx([0.28, 0.28], abs=0.005)
    assert answers["target"].to_list() == large[1].table["target"].to_list()


def test_manifest_lists_every_file_with_its_checksum(tiny_folder: Path) -> None:
    manifest = json.loads((tiny_folder / "manifest.json").read_text())
    assert set(manifest["files"]) == {path.name for path in tiny_folder.iterdir()} - {"manifest.json"}
    for name, file in manifest["files"].items():
        assert file["sha256"] == sha256_of(tiny_folder / name)
    assert SyntheticRecipe(**manifest["recipe"]) == TINY


def test_same_bytes_again_whatever_the_number_of_processes(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthetic, "_CHUNK", 7)
    write_cohort(tmp_path / "again", TINY, workers=2)
    for path in tiny_folder.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


def test_another_seed_gives_other_lesions() -> None:
    first, second = (draw_cohort(TINY.model_copy(update={"seed": seed}))[0].table for seed in (1, 2))
    assert not set(first["isic_id"]) & set(second["isic_id"])
    assert first["tbp_lv_A"].to_list() != second["tbp_lv_A"].to_list()


def test_finished_cohort_is_kept(tiny_folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in tiny_folder.iterdir()}
    write_cohort(tiny_folder, TINY)
    assert {path: path.stat().st_mtime_ns for path in tiny_folder.iterdir()} == before


def test_folder_with_other_things_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(DataError, match="already holds other files"):
        write_cohort(tmp_path, TINY)
    assert (tmp_path / "mine.txt").read_text() == "keep"
    with pytest.raises(DataError, match="already holds other files"):
        write_cohort(tiny_folder, TINY.model_copy(update={"seed": 4}))


def test_cut_file_is_not_a_finished_cohort(tmp_path: Path) -> None:
    recipe = TINY.model_copy(update={"images": False})
    write_cohort(tmp_path / "cohort", recipe)
    path = tmp_path / "cohort" / "train-metadata.csv"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="already holds other files"):
        write_cohort(tmp_path / "cohort", recipe)


def test_interruption_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, total: int, **figures: float) -> None:
        raise Interrupted(130)

    with pytest.raises(Interrupted):
        write_cohort(tmp_path / "cohort", TINY, progress=stop, workers=1)
    assert list(tmp_path.iterdir()) == []


def test_progress_counts_every_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "_CHUNK", 25)
    calls: list[tuple[int, int]] = []
    write_cohort(tmp_path / "cohort", TINY, progress=lambda done, total, **_: calls.append((done, total)), workers=1)
    assert calls == [(25, 100), (50, 100), (60, 100), (85, 100), (100, 100)]
