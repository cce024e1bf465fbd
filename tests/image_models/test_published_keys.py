"""Keys that published systems need: windows of the GeM, dropout behind pooling, pixels from 0 to 1, noise on pixels."""

import numpy as np
import pytest
import torch

from image_models.networks.pooling import MultiScaleGeM
from image_models.networks.zoo import build
from image_models.recipe import AugmentRecipe, ImageModelRecipe, MetadataRecipe, deciding_settings
from image_models.training.augment import IMAGENET_MEAN, IMAGENET_STD, augment, prepare

STILL = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0), "rotation_degrees": 0.0, "flip": False,
         "brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}  # fmt: skip


def recipe(**keys: object) -> ImageModelRecipe:
    known = {"name": "net", "backbone": "lesion_net", "pretrained": "none", "image_size": 32, "hidden": 4}
    return ImageModelRecipe(**known | keys)  # type: ignore[arg-type]


def pictures(count: int = 4) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), np.uint8))


def test_windows_of_the_gem_are_those_of_the_recipe() -> None:
    torch.manual_seed(0)
    model = build(recipe(head="multi_scale_gem", gem_kernels=(3, 31)), 2)
    assert isinstance(model.branches[0].pool, MultiScaleGeM)
    assert model.branches[0].pool.kernels == (3, 31)
    # A window larger than the map sees all of it: the generalised mean of the map.
    maps, pool = torch.rand(2, 3, 5, 5) + 0.1, MultiScaleGeM((31,), p=3.0)
    torch.testing.assert_close(pool(maps), maps.pow(3).mean(dim=(2, 3)).pow(1 / 3), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="odd window sizes"):
        recipe(gem_kernels=(4,))


@pytest.mark.parametrize("second", ["", "lesion_net"])
def test_dropout_behind_the_pooling_works_in_training_alone_and_on_kept_vectors_too(second: str) -> None:
    torch.manual_seed(0)
    model = build(recipe(pooled_dropout=0.5, dropout=0.0, hidden=0, second_backbone=second), 2)
    vectors = torch.ones(4000, sum(branch.width for branch in model.branches))
    layer = model.classifier[-1] if not second else model.head.classifier[-1]
    assert isinstance(layer, torch.nn.Linear)
    with torch.no_grad():
        layer.weight.fill_(1.0)
        layer.bias.zero_()
        kept = model.train().from_vectors(vectors)[:, 0] / vectors.shape[1]
        assert 0.97 < float(kept.mean()) < 1.03
        assert float(kept.std()) == pytest.approx(vectors.shape[1] ** -0.5, rel=0.1)
        torch.testing.assert_close(model.eval().from_vectors(vectors)[:, 0], vectors.sum(1))


def test_pixels_from_0_to_1_and_the_same_changes_as_with_imagenets() -> None:
    images, changes = pictures(), AugmentRecipe(cutout=1.0)
    plain = prepare(images, 32, normalise="unit")
    torch.testing.assert_close(plain, images.permute(0, 3, 1, 2).float() / 255)
    unit, usual = (
        augment(images, changes, 32, torch.Generator().manual_seed(2), normalise=how) for how in ("unit", "imagenet")
    )
    mean = torch.tensor(IMAGENET_MEAN).view(3, 1, 1)
    torch.testing.assert_close((unit - mean) / torch.tensor(IMAGENET_STD).view(3, 1, 1), usual, atol=2e-5, rtol=0)


def test_noise_has_a_deviation_of_its_own_on_every_image() -> None:
    images, largest = pictures(200), 0.2
    still = AugmentRecipe(**STILL, noise=largest)  # type: ignore[arg-type]
    found = augment(images, still, 32, torch.Generator().manual_seed(1), normalise="unit")
    noise = (found - prepare(images, 32, normalise="unit")).flatten(1)
    spread = noise.std(1) / largest
    assert float(spread.max()) < 1.1
    assert float(spread.mean()) == pytest.approx(0.5, abs=0.07)
    assert float((noise.mean(1) / noise.std(1)).abs().max()) < 0.1
    part = augment(images[3:9], still, 32, torch.Generator().manual_seed(1), share=slice(3, 9), batch=200)
    whole = augment(images, still, 32, torch.Generator().manual_seed(1))
    torch.testing.assert_close(part, whole[3:9])


def test_what_was_trained_before_there_was_a_key_stays_valid() -> None:
    before, now = deciding_settings(recipe()), deciding_settings(recipe(normalise="unit"))
    assert "normalise" not in before
    assert now["normalise"] == "unit"
    assert "noise" not in before["augment"]
    assert "impute" not in before["metadata"]
    told = deciding_settings(recipe(metadata=MetadataRecipe(columns=("age",), impute="mean")))
    assert told["metadata"]["impute"] == "mean"
    assert "scale" not in told["metadata"]
