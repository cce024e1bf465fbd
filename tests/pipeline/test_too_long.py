"""Work of years is refused before it begins, by name; work of weeks is not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from image_models.lesions import Lesions
from image_models.recipe import ImageModelRecipe
from image_models.training.plan import plan_training
from pipeline.facts import InputFacts
from pipeline.plan import plan
from pipeline.recipe import load_recipe, shipped_recipes
from pipeline.run import Run
from pipeline.too_long import YEAR_SECONDS, Cohort, Load, booster_load, image_load, least_work, search_load
from tabular.recipe import MemberRecipe, ResampleRecipe, TabularRecipe, TuneRecipe
from tabular.training_data import resample
from tests.folders import bytes_of

ISIC = Cohort(401_059, 393, 2, 5)


def years(load: Load) -> float:
    return load.seconds(1, 0) / YEAR_SECONDS


@pytest.mark.parametrize("name", shipped_recipes())
def test_no_shipped_recipe_is_absurd_on_the_largest_cohort_and_one_core(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    steps = plan(Run.of(recipe, tmp_path / "run"), InputFacts("a", "b", "c", "d"), 5)
    assert sum(map(years, least_work(steps, recipe.tabular, ISIC))) < 1


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"sampling": "all"},
        {"sampling": "weighted", "epochs": 3},
        {"positive_repeats": 7, "negatives_per_positive": 2.5},
        {"select": "best", "stop_after": 2},
    ],
)
def test_images_counted_are_those_that_a_fit_is_planned_to_show(change: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    target = (rng.random(2000) < 0.1).astype(np.int64)
    images, patients = np.zeros((2000, 4, 4, 3), np.uint8), np.arange(2000)
    lesions = Lesions(images, np.ones(2000, bool), target, target, patients, 2, patients.astype(str))
    model = ImageModelRecipe("net", "lesion_net", pretrained="none", image_size=32, **change)
    rows = np.arange(1600)
    shown = sum(fit.epochs * fit.sampler.images_per_epoch for fit in plan_training(model, lesions, rows, 0).fits)
    cohort = Cohort(2000, int(target.sum()), 2, 5)
    counted = image_load(model, cohort, 0.8).pixels / 32**2
    if model.stop_after:
        shown *= model.stop_after / model.epochs
    assert counted == pytest.approx(shown, rel=0.05)


@pytest.mark.parametrize("method", ["none", "over_then_under", "under_bags"])
def test_rows_counted_are_those_that_a_booster_learns_from(method: Any) -> None:
    target = np.repeat([1, 0], [50, 3950])
    tabular = TabularRecipe(resample=ResampleRecipe(method=method, bags=3))
    learned = sum(map(len, resample(target, np.arange(4000), tabular.resample, 0).bags))
    member = MemberRecipe(name="m", booster="lightgbm", iterations=100)
    counted = booster_load(member, tabular, Cohort(5000, 62, 2, 5)).rows / 100
    assert 0.9 * learned < counted <= learned


def test_the_largest_numbers_of_the_keys_come_to_years_together() -> None:
    model = ImageModelRecipe("net", "lesion_net", pretrained="none", epochs=100_000, positive_repeats=10_000)
    assert years(image_load(model, ISIC, 0.8)) > 1
    member = MemberRecipe(name="m", booster="xgboost", iterations=1_000_000)
    space = {"xgboost": {"max_depth": {"low": 2, "high": 9}}}
    tabular = TabularRecipe(
        members=(member,),
        resample=ResampleRecipe(method="none"),
        tune=TuneRecipe.model_validate({"trials": 100_000, "spaces": space}),
    )
    assert years(search_load(member, tabular, ISIC, 0)) > 1
    assert years(booster_load(member, tabular, ISIC)) < 1
    solver = MemberRecipe(name="s", booster="logistic", iterations=1_000_000)
    assert years(booster_load(solver, tabular, ISIC)) < 0.001
    quick = tabular.model_copy(update={"tune": tabular.tune.model_copy(update={"rounds": 100})})
    assert years(search_load(member, quick, ISIC, 0)) < 1


ABSURD = ("--set", "image_models[0].epochs=100000", "--set", "image_models[0].positive_repeats=10000",
          "--set", "image_models[0].negatives_per_positive=1000.0")  # fmt: skip


def test_years_are_refused_before_anything_is_written(cli: Any, tiny_recipe: Path, tmp_path: Path) -> None:
    answer = cli("submission", "--recipe", tiny_recipe, "--run", tmp_path / "run", *ABSURD)
    said = " ".join((answer.out + answer.err).split())
    assert answer.code == 2, answer
    assert "years at the very least, most of it for image model" in said
    assert "epochs (now 100000), image_size (now 32), positive_repeats (now 10000)" in said
    assert not [name for name in bytes_of(tmp_path) if "oof/" in name or name.endswith("folds.parquet")]
    assert "years at the very least" in cli("check", "--recipe", tiny_recipe, *ABSURD).out


def test_absurdly_many_repeats_are_refused(cli: Any, run_copy: Path) -> None:
    answer = cli("repeat", "--run", run_copy, "--splits", 10**9, "--seeds", 10**9)
    assert answer.code == 2, answer
    assert "--splits (now 1,000,000,000)" in " ".join(answer.err.split())
