"""The recipes that the study compares: what each takes away is away, and what a recipe does not have is named."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.recipe import read_folder
from features.families.registry import FAMILIES, patient_families
from features.recipe import FeatureRecipe
from features.table import build
from pipeline.ablation.variants import (
    VARIANTS,
    metadata_alone,
    metadata_alone_simply,
    without_patient_features,
    without_relabelled,
    without_resampling,
)
from pipeline.recipe import Recipe, load_recipe, shipped_recipes


def test_families_of_the_patient_are_those_that_look_at_other_lesions(cohort_dir: Path, tiny_recipe: Path) -> None:
    """Asked of every family: without half of each patient's lesions, does a value change?"""
    train = read_folder(load_recipe(str(tiny_recipe)).data, cohort_dir).train
    rng = np.random.default_rng(0)
    scores = pl.DataFrame({"lesion_id": train.ids.tolist(), "net": rng.uniform(0.01, 0.9, len(train.ids))})
    kept = rng.random(len(train.ids)) < 0.5
    recipe = FeatureRecipe(families=tuple(name for name in FAMILIES if name != "image_site_age_z"))
    whole = build(train, recipe, scores)
    half = build(type(train)(train.table.filter(kept), train.task, True, train.forbidden), recipe, scores.filter(kept))
    moved = {
        feature.family
        for feature in whole.features
        if not whole.frame.filter(kept)[feature.name].equals(half.frame[feature.name], null_equal=True)
    }
    assert moved == set(patient_families())


def test_every_variant_takes_away_what_it_names() -> None:
    demo = load_recipe("demo")
    alone = metadata_alone(demo)
    assert isinstance(alone, Recipe)
    assert alone.image_models == ()
    assert not any(member.image_columns for member in alone.tabular.members)
    # Two LightGBM members differ in nothing but the image columns: one is left, the one fitted before.
    assert [member.name for member in alone.tabular.members] == ["lightgbm_metadata", "random_splits", "catboost"]
    assert alone.tabular.members[0] == demo.tabular.members[0]
    simple = metadata_alone_simply(demo)
    assert isinstance(simple, Recipe)
    assert simple.features.encodes_target
    assert simple.features.chosen == ("published", "image_logit")
    unsampled = without_resampling(load_recipe("fusionnetx"))
    assert isinstance(unsampled, Recipe)
    assert unsampled.tabular.resample.method == "none"
    lonely = without_patient_features(demo)
    assert isinstance(lonely, Recipe)
    assert not set(lonely.features.chosen) & set(patient_families())
    assert set(demo.features.chosen) - set(lonely.features.chosen) <= set(patient_families())
    paper = without_relabelled(load_recipe("fusionnetx"))
    assert isinstance(paper, Recipe)
    assert [model.name for model in paper.image_models] == ["convnextv2_nano", "vit_tiny"]


def test_a_part_that_a_recipe_does_not_have_is_named() -> None:
    demo = load_recipe("demo")
    assert "no image model learns relabelled" in str(without_relabelled(demo))
    plain = load_recipe("demo", ["features.families=['published']"])
    assert "nothing is resampled" in str(without_resampling(plain))
    assert "other lesions" in str(without_patient_features(plain))
    assert "no image models" in str(metadata_alone(plain.model_copy(update={"image_models": ()})))


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_has_valid_variants(name: str) -> None:
    base = load_recipe(name)
    for variant in VARIANTS:
        recipe = variant.recipe(base)
        if isinstance(recipe, Recipe):
            assert recipe != base
            assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
