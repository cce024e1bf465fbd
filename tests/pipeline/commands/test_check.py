"""What `check` says of a folder: sound, damaged, or good enough with a warning; it writes nothing."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import polars as pl
import pytest

from tests.damage import cut, first_cell, rewrite
from tests.folders import tree


@pytest.fixture
def folder(few: Path, tmp_path: Path) -> Path:
    """Forty lesions of the tiny cohort in a folder that a test may damage."""
    return shutil.copytree(few, tmp_path / "data")


def without_an_image(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file[sorted(file)[0]]


def with_half_a_jpeg(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        name = sorted(file)[0]
        whole = bytes(np.asarray(file[name][()]).tobytes())
        del file[name]
        file.create_dataset(name, data=np.bytes_(whole[: len(whole) // 2]))


STOPS: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "a missing column": (
        lambda f: rewrite(f / "train-metadata.csv", lambda t: t.drop("tbp_lv_areaMM2")),
        ["train-metadata.csv: column tbp_lv_areaMM2 is missing"],
    ),
    "a text in a number column": (
        lambda f: rewrite(f / "train-metadata.csv", first_cell("age_approx", "forty")),
        ["train-metadata.csv: column age_approx: 1 value is not a number (line 2: 'forty')"],
    ),
    "duplicate ids": (
        lambda f: rewrite(f / "train-metadata.csv", lambda t: pl.concat([t, t[:1]])),
        ["train-metadata.csv: column isic_id: 2 values are not unique (line 2: "],
    ),
    "a patient id missing": (
        lambda f: rewrite(f / "train-metadata.csv", first_cell("patient_id", None)),
        ["train-metadata.csv: column patient_id: 1 value is missing, which this column must not be (line 2: empty)"],
    ),
    "an HDF5 cut in half": (
        lambda f: cut(f / "train-image.hdf5"),
        ["train-image.hdf5 ends too early: the copy is incomplete"],
    ),
    "an empty CSV": (lambda f: (f / "train-metadata.csv").write_text(""), ["train-metadata.csv is empty"]),
    "a CSV without rows": (
        lambda f: rewrite(f / "test-metadata.csv", lambda t: t[:0]),
        ["test-metadata.csv: it has a header but no rows"],
    ),
    "several at once": (
        lambda f: (
            rewrite(f / "train-metadata.csv", first_cell("tbp_lv_H", "blue")),
            rewrite(f / "test-metadata.csv", lambda t: t.drop("sex")),
            cut(f / "test-image.hdf5"),
        ),
        ["column tbp_lv_H", "test-metadata.csv: column sex is missing", "test-image.hdf5 ends too early"],
    ),
}
WARNS: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "an id without an image": (
        lambda f: without_an_image(f / "train-image.hdf5"), ["train images: 1 of 40 lesions have none (ISIC_"]
    ),
    "a JPEG cut in half": (
        lambda f: with_half_a_jpeg(f / "train-image.hdf5"), ["train images: 1 of 40 do not decode (ISIC_"]
    ),
    "a test file with an unknown category": (
        lambda f: rewrite(f / "test-metadata.csv", first_cell("tbp_lv_location", "Third Arm")),
        ["column tbp_lv_location: 1 row holds a value that the training table does not have: 'Third Arm'"],
    ),
    "a published category that nobody knows": (
        lambda f: rewrite(f / "train-metadata.csv", first_cell("sex", "robot")),
        ["train-metadata.csv: column sex: 1 row holds a value not among the published values: 'robot'"],
    ),
}  # fmt: skip


@pytest.fixture
def check(cli: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Damage the folder, then check it; whatever is wrong, nothing may be written anywhere."""

    def run(damage: Callable[[Path], object], *options: str) -> Any:
        damage(folder)
        monkeypatch.chdir(tmp_path)
        before = tree(tmp_path)
        # Four patients with malignant lesions cannot be divided in five, as the demo's recipe has it.
        allowed = ("--set", "data.max_missing_images=0.05", "--set", "folds.count=3")
        answer = cli("check", "--data", folder, *allowed, *options, cache=tmp_path / "c")
        assert tree(tmp_path) == before
        assert "Traceback" not in answer.out + answer.err
        return answer

    return run


def test_a_sound_folder_is_described(check: Any):
    answer = check(lambda _: None)
    assert answer.code == 0, answer
    assert "a run can start (0 warnings)" in answer.out
    for words in (r"lesions\W+40 ", r"malignant\W+10 \(25.000%\)", r"images\W+10 found, 0 missing, 0 extra"):
        assert re.search(words, answer.out), words


@pytest.mark.parametrize("case", STOPS)
def test_what_stops_a_run_is_named_before_it_starts(check: Any, case: str):
    damage, words = STOPS[case]
    answer = check(damage)
    assert answer.code == 2
    assert "a run cannot start" in answer.out
    assert all(word in answer.out for word in words), answer.out


@pytest.mark.parametrize("case", WARNS)
def test_what_a_run_goes_on_with_is_a_warning(check: Any, case: str):
    damage, words = WARNS[case]
    answer = check(damage)
    assert answer.code == 0
    assert "a run can start (1 warning)" in answer.out
    assert "warning:" in answer.out
    assert all(word in answer.out for word in words), answer.out


def test_more_missing_images_than_the_recipe_allows_stop_a_run(check: Any):
    answer = check(WARNS["an id without an image"][0], "--set", "data.max_missing_images=0.0")
    assert answer.code == 2
    assert "train images: 1 of 40 lesions have none" in answer.out


def test_parameters_that_a_library_would_refuse_after_stage_one_are_named(check: Any):
    answer = check(lambda _: None, "--set", "tabular.members[lightgbm].parameters.min_data_in_leaf=-5")
    assert answer.code == 2
    assert "error: member lightgbm: LightGBM refused to train" in answer.out


@pytest.mark.parametrize("case", ["a missing column", "an HDF5 cut in half"])
def test_a_run_on_a_bad_folder_says_the_same_and_trains_nothing(
    cli: Any, folder: Path, tmp_path: Path, tiny_recipe: Path, case: str
):
    damage, words = STOPS[case]
    damage(folder)
    answer = cli("submission", "--recipe", tiny_recipe, "--data", folder, "--run", tmp_path / "runs" / "bad")
    assert answer.code == 2
    assert all(word in answer.err for word in words), answer.err
    assert not (tmp_path / "runs" / "bad" / "oof").exists()


def test_what_a_member_leaves_out_with_many_classes_stops_nobody(cli: Any):
    """Published parameters weigh the positive class; with eleven they are trained without, so nothing is wrong."""
    answer = cli("check", "--recipe", "milk10k_tables", "--set", "data.twin.lesions=120", "--set", "folds.count=2")
    assert answer.code == 0, answer.out
    assert "CatBoost" not in answer.out
