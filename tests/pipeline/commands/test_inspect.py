"""The verbs that show something of a recipe or a run."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data.images.cleaned import CleanedImages
from data.images.decode import pixels
from data.recipe import DataRecipe, read_folder
from pipeline.lock import hold
from pipeline.recipe import shipped_recipes
from tests.folders import tree


def test_recipes_lists_what_is_shipped(cli: Any):
    answer = cli("recipes")
    assert answer.code == 0
    for name in shipped_recipes():
        assert name in answer.out
    assert "convnextv2_nano" in answer.out


def test_a_dry_run_prints_every_job_and_leaves_a_run_as_it_was(cli: Any, tiny_recipe: Path, run_copy: Path):
    before = tree(run_copy)
    answer = cli("oof", "--dry-run", "--recipe", tiny_recipe, "--run", run_copy, "--set", "image_models[wide].epochs=2")
    assert answer.code == 0, answer
    assert answer.out.count("(done)") == 3
    assert answer.out.count("epochs 1 -> 2") == 3
    assert tree(run_copy) == before


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("image_models[wide].backbone=resnet19", "did you mean"),
        ("image_models[wide].backbone=vit_tiny_patch16_224", "take 32 or 48"),
    ],
)
def test_a_dry_run_refuses_what_training_would_refuse(cli: Any, tiny_recipe: Path, tmp_path: Path, change, reason):
    answer = cli("oof", "--dry-run", "--recipe", tiny_recipe, "--run", tmp_path / "run", "--set", change,
                 "--set", "image_models[wide].image_size=33")  # fmt: skip
    assert answer.code == 2, answer
    assert reason in answer.err


def test_features_are_described(cli: Any, tiny_recipe: Path, run_copy: Path):
    answer = cli("features", "--describe", "--recipe", tiny_recipe, "--run", run_copy)
    assert answer.code == 0, answer
    for words in ("tbp_lv_areaMM2", "patient_z", "mm2", "narrow"):
        assert words in answer.out


@pytest.mark.parametrize("verb", ["check", "demo-data", "weights"])
def test_a_verb_that_keeps_no_run_takes_none(cli: Any, tiny_recipe: Path, verb: str):
    assert cli(verb, "--recipe", tiny_recipe, "--run", "mine").code == 2


def test_families_are_listed_without_data(cli: Any, tiny_recipe: Path, tmp_path: Path):
    answer = cli("features", "--recipe", tiny_recipe, "--run", tmp_path / "none")
    assert answer.code == 0, answer
    assert "local_outlier_factor" in answer.out
    assert "tbp_lv_areaMM2_patient_z" not in answer.out


def test_a_contact_sheet_is_written(cli: Any, tiny_recipe: Path, run_copy: Path, tmp_path: Path):
    from PIL import Image

    out = tmp_path / "sheet.png"
    answer = cli("show-augmentations", "--recipe", tiny_recipe, "--run", run_copy, "--out", out, "--model", "wide")
    assert answer.code == 0, answer
    with Image.open(out) as sheet:
        assert np.asarray(sheet).std() > 0


def test_weights_that_nobody_needs_are_not_fetched(cli: Any, tiny_recipe: Path, tmp_path: Path):
    answer = cli("weights", "--recipe", tiny_recipe)
    assert answer.code == 0, answer
    assert answer.out.count("needs no pretrained weights") == 2


def test_the_demo_cohort_is_written_once(cli: Any, tiny_recipe: Path, cohort_dir: Path):
    before = tree(cohort_dir)
    answer = cli("demo-data", "--recipe", tiny_recipe)
    assert answer.code == 0
    assert str(cohort_dir) in answer.out
    assert tree(cohort_dir) == before


def test_a_run_in_use_is_refused(cli: Any, tiny_recipe: Path, run_copy: Path):
    with hold(run_copy):
        answer = cli("submission", "--recipe", tiny_recipe, "--run", run_copy)
    assert answer.code == 2
    assert "in use by process" in answer.err


def test_a_run_without_a_slash_lives_under_runs(cli: Any, tiny_recipe: Path, finished_run: Path, tmp_path: Path,
                                                monkeypatch: pytest.MonkeyPatch):  # fmt: skip
    shutil.copytree(finished_run, tmp_path / "runs" / "mine")
    monkeypatch.chdir(tmp_path)
    answer = cli("submission", "--recipe", tiny_recipe, "--run", "mine")
    assert answer.code == 0
    assert "runs/mine/submission.csv is up to date" in answer.out


def test_the_sheet_of_cleaned_pictures(cli: Any, tiny_recipe: Path, cohort_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "cleaning.png"
    command = ("show-cleaning", "--recipe", tiny_recipe, "--data", cohort_dir, "--out", out)
    answer = cli(*command)
    assert answer.code == 0, answer
    assert "8 pictures as they are, then after hair, colour, contrast" in answer.out
    with Image.open(out) as sheet:
        assert sheet.size == (4 * 200, 8 * 200)
    assert cli(*command, "--set", "data.clean=['colour']").code == 0
    with Image.open(out) as sheet:
        assert sheet.size == (2 * 200, 8 * 200)
    answer = cli(*command, "--set", "data.clean=['hairs']")
    assert answer.code == 2
    assert "hair" in answer.err


def test_a_folder_is_read_with_its_pictures_cleaned(cohort_dir: Path) -> None:
    source = read_folder(DataRecipe(clean=("colour",)), cohort_dir).train_images
    assert isinstance(source, CleanedImages)
    means = pixels(source.read(str(source.ids[0]))).reshape(-1, 3).mean(axis=0)
    assert means.max() - means.min() < 2
