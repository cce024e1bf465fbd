"""What a run reads: folds made once and obeyed, images packed once and packed again when damaged."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from data.errors import DataError
from data.folds import Folds
from pipeline.display import Display
from pipeline.execute.local import LocalExecutor
from pipeline.inputs import Inputs
from pipeline.make import make_batch
from pipeline.plan import plan_of
from pipeline.recipe import load_recipe
from pipeline.run import Run
from pipeline.runtime import Runtime


@pytest.fixture
def page() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def make(tiny_recipe: Path, cohort_dir: Path, tmp_path: Path, page: io.StringIO) -> Callable[..., Inputs]:
    """The inputs of the tiny recipe with changes; they have a cache of their own but the data of all tests."""

    def inputs(*changes: str, data_dir: Path | None = cohort_dir) -> Inputs:
        runtime = Runtime(
            display=Display(Console(file=page, width=200, soft_wrap=True)),
            executor=LocalExecutor(),
            cache_dir=tmp_path / "cache",
            weights_dir=tmp_path / "weights",
        )
        return Inputs(Run.of(load_recipe(str(tiny_recipe), changes), tmp_path / "run", data_dir), runtime)

    return inputs


def folds_of(inputs: Inputs) -> Folds:
    """The folds, made if they are not there."""
    make_batch("folds", [plan_of(inputs).folds], inputs, inputs.runtime)
    return inputs.folds


def test_folds_are_made_once_and_then_obeyed(make: Callable[..., Inputs], tmp_path: Path, page: io.StringIO):
    first = folds_of(make())
    written = (tmp_path / "run" / "folds.parquet").stat().st_mtime_ns
    assert np.array_equal(folds_of(make()).fold, first.fold)
    assert (tmp_path / "run" / "folds.parquet").stat().st_mtime_ns == written
    assert page.getvalue().count("folds: 3 by patient") == 1


def test_folds_that_nobody_made_are_not_made_by_asking(make: Callable[..., Inputs], tmp_path: Path):
    with pytest.raises(DataError, match=r"has no folds yet; `fusionnetx oof` makes them"):
        _ = make().folds
    assert not (tmp_path / "run").exists()


def test_other_folds_are_announced_with_what_changed(make: Callable[..., Inputs], page: io.StringIO):
    folds_of(make())
    first = plan_of(make()).folds.checksum("folds.parquet")
    folds_of(make("folds.count=4"))
    assert plan_of(make("folds.count=4")).folds.checksum("folds.parquet") != first
    assert "count 3 -> 4" in page.getvalue()


def test_folds_that_are_given_are_obeyed(make: Callable[..., Inputs], tmp_path: Path):
    made = folds_of(make())
    path = tmp_path / "mine.csv"
    turned = made.table.select("lesion_id", fold=(pl.col("fold") + 1) % 3)
    turned.sample(fraction=1.0, shuffle=True, seed=1).write_csv(path)
    given = folds_of(make(f"folds.file={path}"))
    assert given.method == "file"
    assert np.array_equal(given.fold, (made.fold + 1) % 3)
    swapped = turned.with_columns(fold=(pl.col("fold") + 1) % 3)
    swapped.write_csv(path)
    assert np.array_equal(folds_of(make(f"folds.file={path}")).fold, (made.fold + 2) % 3)


def test_a_patient_in_two_given_folds_is_refused(make: Callable[..., Inputs], tmp_path: Path):
    path = tmp_path / "mine.csv"
    torn = folds_of(make()).table.with_columns(fold=pl.int_range(pl.len()) % 3)
    torn.write_csv(path)
    with pytest.raises(DataError, match="patients are in more than one fold"):
        folds_of(make(f"folds.file={path}"))


def test_a_fold_file_that_is_not_there_is_named(make: Callable[..., Inputs]):
    with pytest.raises(DataError, match=r"fold file nowhere\.csv does not exist; correct folds\.file"):
        folds_of(make("folds.file=nowhere.csv"))


def test_a_data_folder_that_is_not_there_is_named(make: Callable[..., Inputs], tmp_path: Path):
    with pytest.raises(DataError, match="lost does not exist"):
        _ = make(data_dir=tmp_path / "lost").data


def test_a_damaged_pack_is_made_again(make: Callable[..., Inputs], page: io.StringIO):
    pack = make().test_pack
    before = pack.images.copy()
    pixels = pack.folder / "images.npy"
    content = bytearray(pixels.read_bytes())
    content[-1] ^= 255
    pixels.write_bytes(bytes(content))
    assert np.array_equal(make().test_pack.images, before)
    assert "packing the test images again" in page.getvalue()


def test_a_pack_in_parts_is_the_same_pack(make: Callable[..., Inputs], page: io.StringIO):
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


def test_a_stopped_build_goes_on_without_a_warning(make: Callable[..., Inputs], page: io.StringIO):
    pack = make("data.lesions_per_pack=50").test_pack
    (pack.folder / "report.json").unlink()
    shutil.rmtree(pack.folder / "part-00001")
    kept = (pack.folder / "part-00000" / "images.npy").stat().st_mtime_ns
    again = make("data.lesions_per_pack=50").test_pack
    assert (again.folder / "part-00000" / "images.npy").stat().st_mtime_ns == kept
    np.testing.assert_array_equal(np.asarray(again.images), np.asarray(pack.images))
    assert "again" not in page.getvalue()


def test_a_sound_pack_is_shared(make: Callable[..., Inputs]):
    pack = make().test_pack
    written = (pack.folder / "images.npy").stat().st_mtime_ns
    again = make("seed=99", "image_models=[]").test_pack
    assert again.folder == pack.folder
    assert (pack.folder / "images.npy").stat().st_mtime_ns == written
    assert make("data.image_size=16").test_pack.folder != pack.folder


def test_a_variant_on_the_same_data_reads_nothing_again(make: Callable[..., Inputs], tmp_path: Path):
    whole = make()
    variant = whole.run.derive(recipe=load_recipe("demo"), folder=tmp_path / "other")
    inputs = whole.of(variant)
    assert inputs.data is whole.data
    assert inputs.run.data_dir == whole.run.data_dir
    assert inputs.facts.train_table == whole.facts.train_table


def test_a_note_is_said_once(make: Callable[..., Inputs], page: io.StringIO):
    runtime = make().runtime
    for _ in range(3):
        runtime.note_once("capped at 16")
    assert page.getvalue() == "note: capped at 16\n"
