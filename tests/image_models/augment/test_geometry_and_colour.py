import colorsys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from image_models.recipe import AugmentRecipe
from image_models.training.augment import (
    DRAWS,
    IMAGENET_MEAN,
    IMAGENET_STD,
    affine,
    augment,
    colour_changes,
    prepare,
    recolour,
    sample,
)
from tests.image_models.augment.shared import drawn, generator, lesions, loop_colour, matrix, normalised, still


def test_prepare_at_the_same_size_is_plain_normalisation() -> None:
    images = lesions()
    pixels = prepare(images, 24)
    np.testing.assert_allclose(pixels, normalised(images), atol=1e-6)
    assert pixels.is_contiguous(memory_format=torch.channels_last)


def test_a_recipe_that_changes_nothing_prepares() -> None:
    images = lesions()
    torch.testing.assert_close(augment(images, still(), 24, generator()), prepare(images, 24), rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [12, 31, 48])
def test_prepare_resizes_as_torch_does(size: int) -> None:
    images = lesions()
    exact = torch.from_numpy(normalised(images))
    expected = functional.interpolate(exact, size=(size, size), mode="bilinear", antialias=size < 24)
    torch.testing.assert_close(prepare(images, size).double(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_shape_dtype_and_layout(dtype: torch.dtype) -> None:
    recipe = AugmentRecipe(blur=0.5, cutout=0.5)
    for pixels in (augment(lesions(5), recipe, 32, generator(), dtype), prepare(lesions(5), 32, dtype)):
        assert pixels.shape == (5, 3, 32, 32)
        assert pixels.dtype == dtype
        assert pixels.is_contiguous(memory_format=torch.channels_last)
        assert torch.isfinite(pixels).all()


@pytest.mark.parametrize(
    ("theta", "expected"),
    [
        (matrix(1, 0, 0, 0, 1, 0), lambda x: x),
        (matrix(-1, 0, 0, 0, 1, 0), lambda x: x.flip(3)),
        (matrix(1, 0, 0, 0, -1, 0), lambda x: x.flip(2)),
        (matrix(0, -1, 0, 1, 0, 0), lambda x: x.rot90(1, (2, 3))),
        (matrix(0, 1, 0, -1, 0, 0), lambda x: x.rot90(-1, (2, 3))),
    ],
)
def test_sampling_flips_and_turns_exactly(theta: torch.Tensor, expected: Any) -> None:
    pixels = torch.rand(1, 3, 24, 24)
    torch.testing.assert_close(sample(pixels, theta, 24), expected(pixels), rtol=0, atol=1e-5)


def test_sampling_is_affine_grid_and_reflects_at_the_border() -> None:
    pixels, theta = torch.rand(2, 3, 16, 16), torch.randn(2, 2, 3)
    grid = functional.affine_grid(theta, [2, 3, 20, 20], align_corners=False)
    expected = functional.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)
    torch.testing.assert_close(sample(pixels, theta, 20), expected, rtol=0, atol=1e-5)


def test_affine_draws_crop_rotation_and_flips() -> None:
    torch.testing.assert_close(affine(drawn(), still()), matrix(1, 0, 0, 0, 1, 0))
    quarter = affine(drawn(_4=0.75), still(rotation_degrees=180.0))
    torch.testing.assert_close(quarter, matrix(0, -1, 0, 1, 0, 0), rtol=0, atol=1e-6)
    mirrored = affine(drawn(_5=0.0), still(flip=True))
    torch.testing.assert_close(mirrored, matrix(-1, 0, 0, 0, 1, 0))
    corner = affine(drawn(_2=0.0, _3=1.0), still(crop_scale=(0.25, 0.25)))
    torch.testing.assert_close(corner, matrix(0.5, 0, -0.5, 0, 0.5, 0.5))


@settings(max_examples=50, deadline=None)
@given(
    scale=st.tuples(st.floats(0.05, 1), st.floats(0.05, 1)).map(sorted),
    ratio=st.tuples(st.floats(0.5, 2), st.floats(0.5, 2)).map(sorted),
    seed=st.integers(0, 1000),
)
def test_crops_stay_inside_and_keep_the_share_asked_for(scale: list[float], ratio: list[float], seed: int) -> None:
    recipe = still(crop_scale=tuple(scale), crop_ratio=tuple(ratio))
    theta = affine(torch.rand(64, DRAWS, generator=generator(seed)), recipe)
    width, height = theta[:, 0, 0], theta[:, 1, 1]
    reach = theta[:, :, 2].abs() + torch.stack([width, height], dim=1)
    assert (reach <= 1 + 1e-5).all()
    assert ((width > 0) & (height > 0)).all()
    area, whole = width * height, (width < 1) & (height < 1)
    assert (area <= scale[1] + 1e-5).all()
    assert (area[whole] >= scale[0] - 1e-5).all()
    shape = (width / height)[whole]
    assert ((shape >= ratio[0] - 1e-4) & (shape <= ratio[1] + 1e-4)).all()


def test_flip_is_even_and_rotation_covers_its_range() -> None:
    theta = affine(torch.rand(4000, DRAWS, generator=generator()), still(flip=True))
    mirrored = (theta[:, [0, 1], [0, 1]] < 0).float().mean(0)
    assert ((mirrored - 0.5).abs() < 0.04).all()
    turned = affine(torch.rand(4000, DRAWS, generator=generator()), still(rotation_degrees=30.0))
    angle = torch.atan2(turned[:, 1, 0], turned[:, 0, 0]).rad2deg()
    assert -30.001 <= angle.min() < -29
    assert 29 < angle.max() <= 30.001
    assert angle.mean().abs() < 1


def test_colour_is_the_loop_over_images() -> None:
    images = lesions(6)
    recipe = still(brightness=0.3, contrast=0.4, saturation=0.5, hue=0.1)
    draws = torch.rand(6, 4, generator=generator())
    pixels = images.permute(0, 3, 1, 2).float()
    ours = recolour(pixels, colour_changes(draws, recipe, IMAGENET_MEAN, IMAGENET_STD))
    changes = (2 * draws.double().numpy() - 1) * [0.3, 0.4, 0.5, 0.1]
    for image, change, result in zip(images.numpy(), changes, ours, strict=True):
        np.testing.assert_allclose(result.permute(1, 2, 0), loop_colour(image, change), atol=2e-5)


def test_half_a_hue_circle_swaps_the_warm_and_the_cold() -> None:
    maps = colour_changes(torch.tensor([[0.5, 0.5, 0.5, 1.0]]), still(hue=0.5), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    skin = torch.tensor([153.0, 115.0, 102.0])
    turned = recolour(skin.view(1, 3, 1, 1), maps).flatten()
    before, after = (colorsys.rgb_to_yiq(*colour.tolist()) for colour in (skin / 255, turned))
    np.testing.assert_allclose(after, np.array(before) * [1, -1, -1], atol=2e-2)


def test_colour_leaves_grey_images_grey_and_greys_keep_their_hue() -> None:
    images = torch.full((3, 8, 8, 3), 120, dtype=torch.uint8)
    recipe = still(contrast=0.5, saturation=0.9, hue=0.5)
    np.testing.assert_allclose(augment(images, recipe, 8, generator()), normalised(images), atol=1e-5)


def test_colour_and_sampling_commute() -> None:
    """The reason that colour may be done first, on the smaller images."""
    draws = torch.rand(4, DRAWS, generator=generator())
    recipe = AugmentRecipe()
    pixels = lesions().permute(0, 3, 1, 2).float()
    theta = affine(draws, recipe)
    maps = colour_changes(draws[:, :4], still(saturation=0.5, hue=0.1), IMAGENET_MEAN, IMAGENET_STD)
    first, last = sample(recolour(pixels, maps), theta, 40), recolour(sample(pixels, theta, 40), maps)
    torch.testing.assert_close(first, last, rtol=0, atol=2e-5)
