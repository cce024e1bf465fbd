"""Networks that are told metadata: beside one image, beside two sizes of it, or alone."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from data.errors import Interrupted, TrainingError
from data.scores.ranking import auc
from image_models.lesions import no_images
from image_models.networks.metadata_shape import MetadataShape
from image_models.predict import load_model, predict
from image_models.recipe import AugmentRecipe, MetadataRecipe
from image_models.setup import Setup
from image_models.training.inputs import step_inputs
from image_models.training.plan import plan_training
from image_models.training.train import FoldTask, Places, train_fold

pytestmark = pytest.mark.usefixtures("single_threaded")

ROWS, HELD_OUT = np.arange(48), np.arange(48, 60)
TOLD = MetadataRecipe(columns=("age", "site"), widths=(8,))


def fit(folder: Path, recipe: Any, lesions: Any, **options: Any) -> Any:
    task, places = FoldTask(recipe, lesions, ROWS, 7, "f"), Places(folder, cache_dir=options.pop("cache_dir", None))
    return train_fold(task, places, **{"device": "cpu", **options}).report


def predicted(folder: Path, recipe: Any, lesions: Any, rows: Any = HELD_OUT) -> np.ndarray:
    model = load_model(folder / "model.safetensors", recipe, lesions.classes)
    return predict(model, recipe, lesions, rows, device="cpu")


STRUCTURES: dict[str, dict[str, Any]] = {
    "concatenation": {},
    "sites at two sizes": {
        "fusion": "site_branches", "site_column": "site", "second_backbone": "custom_cnn", "second_image_size": 48,
    },
    "alone": {"backbone": "none", "learning_rate": 3e-2},
    "mixed": {"augment": AugmentRecipe(mixup=0.4)},
}  # fmt: skip


@pytest.mark.parametrize(
    ("structure", "classes"),
    [("concatenation", 3), ("sites at two sizes", 2), ("alone", 2), ("alone", 3), ("mixed", 3)],
)
def test_interrupted_and_resumed_equals_uninterrupted_to_the_bit(
    tmp_path, toy_lesions, toy_recipe, told, structure, classes
):
    lesions = told(toy_lesions(classes=classes))
    settings = {"metadata": TOLD, "epochs": 2, "sampling": "weighted", "optimiser": "adam", **STRUCTURES[structure]}
    recipe = toy_recipe(**settings)

    def stop(done: int, total: int, **figures: float) -> None:
        if done == 7:
            raise Interrupted(130)

    whole = fit(tmp_path / "whole", recipe, lesions)
    assert whole.steps > 8
    with pytest.raises(Interrupted):
        fit(tmp_path / "parts", recipe, lesions, progress=stop)
    assert fit(tmp_path / "parts", recipe, lesions).resumed_at_step == 7
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    found = predicted(tmp_path / "whole", recipe, lesions)
    assert found.shape == (12, lesions.columns)
    assert np.isfinite(found).all()


def test_metadata_are_learned_from(tmp_path, toy_lesions, toy_recipe, told):
    """Images that say nothing: whatever is learned comes from the metadata."""
    grey = toy_lesions(images=np.full((60, 24, 24, 3), 128, np.uint8))
    for name, changes in {"beside": {}, "alone": {"backbone": "none"}}.items():
        recipe = toy_recipe(metadata=TOLD, epochs=8, learning_rate=3e-2, image_size=8, ema_decay=0.0, **changes)
        lesions = told(grey)
        fit(tmp_path / name, recipe, lesions)
        found = predicted(tmp_path / name, recipe, lesions)
        assert auc(lesions.target[HELD_OUT], found[:, 0]) > 0.8
        scrambled = dataclasses.replace(lesions, metadata=lesions.metadata[::-1].copy())
        assert not np.allclose(predicted(tmp_path / name, recipe, scrambled), found)


def test_lesions_without_an_image_are_predicted_from_metadata_alone(tmp_path, toy_lesions, toy_recipe, told):
    lesions = told(toy_lesions(images=no_images(60), present=np.arange(60) % 2 == 0))
    alone = toy_recipe(backbone="none", metadata=TOLD, epochs=1)
    report = fit(tmp_path, alone, lesions)
    assert report.images == 2 * int(lesions.target[ROWS].sum())
    assert np.isfinite(predicted(tmp_path, alone, lesions)).all()


def test_metadata_that_the_recipe_does_not_name_change_nothing(tmp_path, toy_lesions, toy_recipe, told):
    fit(tmp_path / "without", toy_recipe(epochs=1), toy_lesions())
    fit(tmp_path / "with", toy_recipe(epochs=1), told(toy_lesions()))
    one, other = (tmp_path / name / "model.safetensors" for name in ("without", "with"))
    assert one.read_bytes() == other.read_bytes()


def test_metadata_that_are_not_there_are_asked_for(tmp_path, toy_lesions, toy_recipe):
    recipe = toy_recipe(metadata=TOLD)
    with pytest.raises(TrainingError, match=re.escape("image model toy takes metadata (age, site)")):
        fit(tmp_path, recipe, toy_lesions())


def test_two_sizes_are_one_random_change_prepared_at_the_larger(toy_lesions, toy_recipe):
    recipe = toy_recipe(second_backbone="lesion_net", second_image_size=64)
    lesions = toy_lesions()
    plan = plan_training(recipe, lesions, ROWS, 0).fits[0]
    step = next(step_inputs(recipe, lesions, plan, Setup(torch.device("cpu"), "fp32"), epoch=0, seed=1))
    assert step.batches[0].shown.pixels is not None
    assert step.batches[0].shown.pixels.shape[2:] == (64, 64)


def test_mixup_mixes_metadata_as_it_mixes_labels(toy_lesions, toy_recipe):
    target = np.arange(60) % 2
    lesions = toy_lesions(target=target, training_label=target)
    shape = dataclasses.replace(TOLD, columns=("truth",))
    lesions = dataclasses.replace(
        lesions, metadata=target[:, None].astype(np.float32), metadata_shape=MetadataShape(("truth",))
    )
    recipe = toy_recipe(metadata=shape, augment=AugmentRecipe(mixup=1.0))
    plan = plan_training(recipe, lesions, ROWS, 0).fits[0]
    part = next(step_inputs(recipe, lesions, plan, Setup(torch.device("cpu"), "fp32"), epoch=0, seed=1)).batches[0]
    assert part.shown.metadata is not None
    torch.testing.assert_close(part.shown.metadata[:, 0], part.shares[:, 1])
    assert ((part.shares > 0.01) & (part.shares < 0.99)).any()
