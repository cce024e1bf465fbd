"""The recipe in groups: flat, checked group by group, and as fingerprints have always seen it."""

import dataclasses
import subprocess
import sys
from typing import Any

import pytest

from data.errors import RecipeError
from data.files import fingerprint
from image_models.keys.computing import ComputingRecipe, RuntimeRecipe
from image_models.keys.metadata import MetadataRecipe
from image_models.keys.network import NetworkRecipe
from image_models.keys.sampling import AugmentRecipe, SamplingRecipe
from image_models.keys.training import OptimiserRecipe, ScheduleRecipe, SelectionRecipe
from image_models.recipe import RETIRED_KEYS, RUNTIME_KEYS, ImageModelRecipe, deciding_settings
from pipeline.recipe import parse_recipe, recipe_text

GROUPS = (
    *(NetworkRecipe, SamplingRecipe, OptimiserRecipe, ScheduleRecipe, SelectionRecipe, ComputingRecipe),
    RuntimeRecipe,
)
MODEL = {"name": "a", "backbone": "lesion_net"}


def test_every_key_is_in_one_group() -> None:
    of_groups = [key.name for group in GROUPS for key in dataclasses.fields(group)]
    assert sorted(of_groups) == sorted(key.name for key in dataclasses.fields(ImageModelRecipe))


@pytest.mark.parametrize(
    ("group", "values", "message"),
    [
        (AugmentRecipe, {"hue": 0.6}, "hue = 0.6: between 0 and 0.5"),
        (AugmentRecipe, {"contrast": 1.0}, "contrast = 1.0: at least 0 and less than 1"),
        (MetadataRecipe, {"columns": ("age", "age")}, "named twice"),
        (NetworkRecipe, {**MODEL, "hidden": -1}, "hidden = -1: at least 0"),
        (
            NetworkRecipe,
            {**MODEL, "fusion": "gatd"},
            "fusion = 'gatd': no fusion is called 'gatd'; did you mean 'gated'",
        ),
        (SamplingRecipe, {"accumulate": 0}, "accumulate = 0: at least 1"),
        (OptimiserRecipe, {"layer_decay": 0.0}, "layer_decay = 0.0: above 0"),
        (ScheduleRecipe, {"minimum_learning_rate": 1.0}, "at most learning_rate"),
        (SelectionRecipe, {"inner_share": 1.0}, "inner_share = 1.0"),
        (SelectionRecipe, {"select_by": "loss"}, "select_by = 'loss': .*select = \"best\""),
        (ComputingRecipe, {"predict_batch_size": 0}, "predict_batch_size = 0"),
        (RuntimeRecipe, {"checkpoint_seconds": 0.0}, "checkpoint_seconds = 0.0: above 0"),
    ],
)
def test_a_group_checks_itself_and_within_the_recipe(group: Any, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        group(**values)
    if group in GROUPS:
        with pytest.raises(ValueError, match=message):
            ImageModelRecipe(**{**MODEL, **values})


def test_fingerprints_are_those_of_before_the_groups() -> None:
    plain = ImageModelRecipe(name="a", backbone="lesion_net")
    rich = ImageModelRecipe(
        name="b", backbone="resnet18", second_backbone="same", second_image_size=96, fusion="gated",
        metadata=MetadataRecipe(columns=("age",)), select="best", stop_after=3, class_weights=(1.0, 2.0),
        augment=AugmentRecipe(mixup=0.2), resident="host",
    )  # fmt: skip
    # Of every key at that time but `checkpoint_seconds` and `resident`.
    assert fingerprint(deciding_settings(plain)) == "e9ace78031e7509a7ff62f6feb9be151b9ae67cb255c90a44b6431d200ea1fcb"
    assert fingerprint(deciding_settings(rich)) == "374bf770eeee371170197fd8d7b594863acaf636038ac07c11118571a5b1f366"


def test_a_fingerprint_holds_what_decides() -> None:
    recipe = ImageModelRecipe(**MODEL, select="best")
    assert deciding_settings(recipe) == deciding_settings(
        dataclasses.replace(recipe, checkpoint_seconds=1.0, resident="host")
    )
    assert "select_by" not in deciding_settings(recipe)
    assert deciding_settings(dataclasses.replace(recipe, select_by="loss"))["select_by"] == "loss"
    assert RUNTIME_KEYS == ("resident", "checkpoint_seconds")


def test_a_finished_run_s_recipe_may_hold_a_retired_key_at_what_is_done_now() -> None:
    assert RETIRED_KEYS == {"compile": False}
    recipe = parse_recipe({"image_models": [{**MODEL, "compile": False}]}, origin="old")
    assert recipe.image_models == (ImageModelRecipe(**MODEL),)
    assert "compile" not in recipe_text(recipe)
    with pytest.raises(RecipeError, match=r"image_models\[0\]\.compile = True: unknown key"):
        parse_recipe({"image_models": [{**MODEL, "compile": True}]}, origin="old")


def test_a_recipe_is_checked_without_importing_torch() -> None:
    made = "ImageModelRecipe(name='a', backbone='resnet18', metadata=MetadataRecipe(columns=('age',)), fusion='gated')"
    code = f"import sys; from image_models.recipe import *; {made}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
