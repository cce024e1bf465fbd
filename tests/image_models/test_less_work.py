"""Keys that save work on a processor: stages that are held, small images first; labels that are smoothed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from data.errors import RecipeError
from image_models.networks.zoo import build
from image_models.recipe import deciding_settings
from image_models.setup import Setup
from image_models.training.inputs import step_inputs
from image_models.training.losses import smoothed, summed_loss
from image_models.training.plan import plan_training
from image_models.training.train import FoldTask, Places, train_fold

pytestmark = pytest.mark.usefixtures("single_threaded")
ROWS = np.arange(24)


@pytest.fixture
def pretrained(tmp_path: Path, toy_recipe: Any) -> Any:
    """A tiny EfficientNet with weights and statistics of its own, and the recipe that starts from them."""
    recipe = toy_recipe(backbone="test_efficientnet", pretrained="none", epochs=2, ema_decay=0.0)
    state = build(recipe, 2).backbone.state_dict()
    shaken = {name: tensor + 0.1 if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    path = tmp_path / "start.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in shaken.items()}, path)
    return replace(recipe, pretrained=str(path)), shaken


def test_held_stages_keep_weights_and_statistics_and_the_rest_learns(tmp_path, toy_lesions, pretrained) -> None:
    recipe, start = pretrained
    task = FoldTask(replace(recipe, held_stages=3), toy_lesions(), ROWS, 7, "f")
    train_fold(task, Places(tmp_path / "run"), device="cpu")
    after = load_file(tmp_path / "run" / "model.safetensors")
    stems = ("conv_stem", "bn1", "blocks.0.", "blocks.1.")
    for name, tensor in start.items():
        held = torch.equal(after[f"backbone.{name}"], tensor)
        assert held == name.startswith(stems) or not tensor.is_floating_point() or not tensor.numel(), name


def test_more_stages_than_there_are_is_refused(pretrained) -> None:
    recipe, _ = pretrained
    with pytest.raises(RecipeError, match="one at least must learn"):
        build(replace(recipe, held_stages=40), 2)


def test_first_epochs_show_small_images(toy_lesions, toy_recipe) -> None:
    recipe, lesions = toy_recipe(small_epochs=2, small_size=16), toy_lesions()
    plan = plan_training(recipe, lesions, ROWS, 7).fits[0]
    sides = [
        {batch.shown.pixels.shape[-1] for step in steps for batch in step.batches}
        for epoch in range(3)
        if (steps := step_inputs(recipe, lesions, plan, Setup(torch.device("cpu"), "fp32"), epoch=epoch, seed=7))
    ]
    assert sides == [{16}, {16}, {32}]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"small_epochs": 2}, "goes with small_epochs"),
        ({"small_size": 16}, "goes with small_epochs"),
        ({"small_epochs": 1, "small_size": 32}, "below 32"),
        ({"small_epochs": 1, "small_size": 16, "second_backbone": "custom_cnn"}, "its own size"),
        ({"label_smoothing": 1.0}, "less than 1"),
    ],
)
def test_values_that_mean_nothing_are_refused(toy_recipe, changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        toy_recipe(**changes)


def test_a_network_of_one_size_takes_no_small_images(toy_recipe) -> None:
    recipe = toy_recipe(backbone="test_vit", image_size=160, small_epochs=1, small_size=96)
    with pytest.raises(RecipeError, match="takes one size of image"):
        build(recipe, 2)


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0, 0.5, 4.0])])
def test_smoothed_labels_give_pytorchs_loss(weights) -> None:
    z = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 3, 3, 2, 1, 0, 0])
    by_class = torch.ones(4) if weights is None else weights
    ours = summed_loss(z, smoothed(functional.one_hot(labels, 4).float(), 0.1), by_class, 0.0) / by_class[labels].sum()
    torch.testing.assert_close(ours, functional.cross_entropy(z, labels, weight=weights, label_smoothing=0.1))


def test_networks_trained_before_these_keys_stay_valid(toy_recipe) -> None:
    settings = deciding_settings(toy_recipe())
    assert not {"held_stages", "label_smoothing", "small_epochs", "small_size"} & settings.keys()
    assert "label_smoothing" in deciding_settings(toy_recipe(label_smoothing=0.1))
