import pytest

from image_models.recipe import AugmentRecipe, ImageModelRecipe, MetadataRecipe

BEST = {"select": "best"}
ALONE = {"backbone": "none", "metadata": MetadataRecipe(columns=("age",))}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule": "plateau"}, r"schedule = 'plateau': .*select = \"best\""),
        ({"stop_after": 3}, r"stop_after = 3: .*select = \"best\""),
        ({"stop_after": -1, **BEST}, "stop_after = -1: at least 0"),
        ({"plateau_patience": -1}, "plateau_patience = -1: at least 0"),
        ({"plateau_factor": 1.0}, "plateau_factor = 1.0: between 0 and 1"),
        ({"sampling": "weighted", "positive_repeats": 2}, "positive_repeats = 2: belongs to sampling"),
        ({"frozen": True, "layer_decay": 0.7}, "layer_decay = 0.7: frozen = true keeps one vector per image"),
        ({"frozen": True, "drop_path": 0.1}, "drop_path = 0.1: frozen"),
        ({"frozen": True, "freeze_batch_norm": True}, "freeze_batch_norm = True: frozen"),
        ({"frozen": True, "augment": AugmentRecipe(mixup=0.2)}, "mixup has nothing to mix"),
        ({**ALONE, "augment": AugmentRecipe(mixup=0.2)}, "mixup has nothing to mix"),
        ({**ALONE, "drop_path": 0.1}, 'drop_path = 0.1: backbone = "none"'),
    ],
)
def test_keys_that_do_not_go_together_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        ImageModelRecipe(**{"name": "m", "backbone": "lesion_net", **changes})


@pytest.mark.parametrize(
    "changes", [{"schedule": "plateau", "stop_after": 3, **BEST}, {"frozen": True}, ALONE, {"sampling": "weighted"}]
)
def test_keys_that_go_together_are_taken(changes):
    ImageModelRecipe(**{"name": "m", "backbone": "lesion_net", **changes})
