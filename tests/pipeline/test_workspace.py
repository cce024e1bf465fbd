import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pipeline.workspace import Workspace
from rich.console import Console

from data.errors import DataError
from pipeline.display import Display
from pipeline.recipe import load_recipe


@pytest.fixture
def page() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def make(tiny_recipe: Path, cohort_dir: Path, tmp_path: Path, page: io.StringIO) -> Callable[..., Workspace]:
    """A workspace of the tiny recipe with changes; it has a cache of its own but the data of all tests."""

    def workspace(*changes: str, data_dir: Path | None = cohort_dir) -> Workspace:
        return Workspace(
            recipe=load_recipe(str(tiny_recipe), changes),
            run_dir=tmp_path / "run",
            cache_dir=tmp_path / "cache",
            weights_dir=tmp_path / "weights",
            display=Display(Console(file=page, width=200, soft_wrap=True)),
            data_dir=data_dir,
        )

    return workspace


def test_folds_are_made_once_and_then_obeyed(make: Callable[..., Workspace], tmp_path: Path, page: io.StringIO):
    first = make().folds
    written = (tmp_path / "run" / "folds.parquet").stat().st_mtime_ns
    assert np.array_equal(make().folds.fold, first.fold)
    assert (tmp_path / "run" / "folds.parquet").stat().st_mtime_ns == written
    assert page.getvalue().count("folds: 3 by patient") == 1


def test_other_folds_are_announced_with_what_changed(make: Callable[..., Workspace], page: io.StringIO):
    first = make().folds_checksum
    assert make("folds.count=4").folds_checksum != first
    assert "count 3 -> 4" in page.getvalue()


def test_folds_that_are_given_are_obeyed(make: Callable[..., Workspace], tmp_path: Path):
    made = make().folds
    path = tmp_path / "mine.csv"
    turned = made.table.select("lesion_id", fold=(pl.col("fold") + 1) % 3)
    turned.sample(fraction=1.0, shuffle=True, seed=1).write_csv(path)
    given = make(f"folds.file={path}").folds
    assert given.method == "file"
    assert np.array_equal(given.fold, (made.fold + 1) % 3)
    swapped = turned.with_columns(fold=(pl.col("fold") + 1) % 3)
    swapped.write_csv(path)
    assert np.array_equal(make(f"folds.file={path}").folds.fold, (made.fold + 2) % 3)


def test_a_patient_in_two_given_folds_is_refused(make: Callable[..., Workspace], tmp_path: Path):
    path = tmp_path / "mine.csv"
    torn = make().folds.table.with_columns(fold=pl.int_range(pl.len()) % 3)
    torn.write_csv(path)
    with pytest.raises(DataError, match="patients are in more than one fold"):
        _ = make(f"folds.file={path}").folds


def test_a_fold_file_that_is_not_there_is_named(make: Callable[..., Workspace]):
    with pytest.raises(DataError, match=r"fold file nowhere\.csv does not exist; correct folds\.file"):
        _ = make("folds.file=nowhere.csv").folds


def test_a_data_folder_that_is_not_there_is_named(make: Callable[..., Workspace], tmp_path: Path):
    with pytest.raises(DataError, match="lost does not exist"):
        _ = make(data_dir=tmp_path / "lost").data


def test_a_damaged_pack_is_made_again(make: Callable[..., Workspace], page: io.StringIO):
    pack = make().test_pack
    before = pack.images.copy()
    pixels = pack.folder / "images.npy"
    content = bytearray(pixels.read_bytes())
    content[-1] ^= 255
    pixels.write_bytes(bytes(content))
    assert np.array_equal(make().test_pack.images, before)
    assert "packing the test images again" in page.getvalue()


def test_a_pack_in_parts_is_the_same_pack(make: Callable[..., Workspace], page: io.StringIO):
    whole = make().test_pack
    before = np.array(whole.images)
    shutil.rmtree(whole.folder)
    parts = make("data.lesions_per_pack=50").test_pack
    assert len(list(parts.folder.glob("part-*"))) == -(-len(before) // 50)
    assert (parts.folder, parts.fingerprint) == (whole.folder, whole.fingerprint)
    np.testing.assert_array_equal(np.asarray(parts.images), before)
    (parts.folder / "part-00001" / "present.npy").unlink()
    np.testing.assert_array_equal(np.asarray(make("data.lesions_per_pack=50").test_pack.images), before)
    assert "packing the test images again" in page.getvalue()


def test_a_stopped_build_goes_on_without_a_warning(make: Callable[..., Workspace], page: io.StringIO):
    pack = make("data.lesions_per_pack=50").test_pack
    (pack.folder / "report.json").unlink()
    shutil.rmtree(pack.folder / "part-00001")
    kept = (pack.folder / "part-00000" / "images.npy").stat().st_mtime_ns
    again = make("data.lesions_per_pack=50").test_pack
    assert (again.folder / "part-00000" / "images.npy").stat().st_mtime_ns == kept
    np.testing.assert_array_equal(np.asarray(again.images), np.asarray(pack.images))
    assert "again" not in page.getvalue()


def test_a_sound_pack_is_shared(make: Callable[..., Workspace]):
    pack = make().test_pack
    written = (pack.folder / "images.npy").stat().st_mtime_ns
    again = make("seed=99", "image_models=[]").test_pack
    assert again.folder == pack.folder
    assert (pack.folder / "images.npy").stat().st_mtime_ns == written
    assert make("data.image_size=16").test_pack.folder != pack.folder


def test_the_recipe_that_is_kept_is_the_one_that_ran(make: Callable[..., Workspace], tmp_path: Path):
    space = make("seed=99")
    space.record_recipe()
    assert load_recipe(str(tmp_path / "run" / "recipe.toml")) == space.recipe


def test_a_note_is_said_once(make: Callable[..., Workspace], page: io.StringIO):
    space = make()
    for _ in range(3):
        space.note_once("capped at 16")
    assert page.getvalue() == "note: capped at 16\n"
