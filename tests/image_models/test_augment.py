"""Augmentation against flips, rotations, a colour loop in float64, and its own promises of determinism."""

import colorsys
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from image_models.contact_sheet import GAP, contact_sheet
from image_models.recipe import AugmentRecipe
from image_models.training.augment import (
    DRAWS,
    IMAGENET_MEAN,
    IMAGENET_STD,
    affine,
    augment,
    colour_changes,
    mixup,
    prepare,
    recolour,
    sample,
    symmetries,
)

MEAN, STD = np.array(IMAGENET_MEAN), np.array(IMAGENET_STD)


def still(**changes: Any) -> AugmentRecipe:
    """A recipe that changes nothing but what is asked."""
    nothing = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0), "rotation_degrees": 0.0, "flip": False}
    colourless = dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0.0)
    return AugmentRecipe(**{**nothing, **colourless, **changes})


def lesions(count: int = 4, side: int = 24, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normalised(images: torch.Tensor) -> np.ndarray:
    """Plain normalisation in float64, channels first."""
    return ((images.numpy() / 255 - MEAN) / STD).transpose(0, 3, 1, 2)


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


def matrix(*rows: float) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32).view(1, 2, 3)


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


def drawn(**positions: float) -> torch.Tensor:
    """One row of draws, a half everywhere (no change) but where said."""
    row = torch.full((1, DRAWS), 0.5)
    for index, value in positions.items():
        row[0, int(index[1:])] = value
    return row


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


def loop_colour(image: np.ndarray, changes: np.ndarray) -> np.ndarray:
    """Brightness, contrast, saturation, hue, pixel by pixel and step by step, hue by the standard library's YIQ."""
    brightness, contrast, saturation = 1 + changes[:3]
    pixels = image / 255 * brightness
    luma = [0.299, 0.587, 0.114]
    pixels = contrast * pixels + (1 - contrast) * (pixels @ luma).mean()
    pixels = saturation * pixels + (1 - saturation) * (pixels @ luma)[..., None]
    to_yiq = np.array([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
    y, i, q = np.moveaxis(pixels @ to_yiq.T, -1, 0)
    turn = np.exp(2j * math.pi * changes[3])
    turned = (i + 1j * q) * turn
    pixels = np.stack([y, turned.real, turned.imag], axis=-1) @ np.linalg.inv(to_yiq).T
    return (pixels - MEAN) / STD


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


def test_the_generator_decides_everything() -> None:
    images, recipe = lesions(), AugmentRecipe(blur=0.5, cutout=0.5)
    one = augment(images, recipe, 32, generator(3))
    assert torch.equal(one, augment(images, recipe, 32, generator(3)))
    assert not torch.equal(one, augment(images, recipe, 32, generator(4)))


def test_every_recipe_advances_the_generator_alike() -> None:
    states = []
    for recipe in (still(), AugmentRecipe(), AugmentRecipe(blur=1.0, cutout=1.0)):
        source = generator()
        augment(lesions(), recipe, 24, source)
        states.append(source.get_state())
    assert all(torch.equal(state, states[0]) for state in states)


def test_an_image_is_changed_alike_in_every_batch() -> None:
    """The draws of a row do not depend on the rows behind it."""
    images, recipe = lesions(6), AugmentRecipe(blur=0.5, cutout=0.5)
    whole, part = augment(images, recipe, 24, generator()), augment(images[:2], recipe, 24, generator())
    torch.testing.assert_close(whole[:2], part, rtol=0, atol=1e-6)


def test_large_packs_are_averaged_not_picked() -> None:
    """A chequerboard of single pixels has no pattern left at a quarter of the size, only its mean."""
    board = (torch.arange(64)[:, None] + torch.arange(64)) % 2 * 255
    images = board.to(torch.uint8)[None, :, :, None].expand(2, 64, 64, 3)
    recipe = still(crop_scale=(0.9, 1.0), rotation_degrees=180.0)
    for pixels in (augment(images, recipe, 16, generator()), prepare(images, 16)):
        shown = pixels.permute(0, 2, 3, 1).numpy() * STD + MEAN
        np.testing.assert_allclose(shown, 0.5, atol=0.02)


def test_blur_smooths_a_share_of_the_images() -> None:
    images = lesions(400, 8)
    pixels = augment(images, still(blur=0.3), 8, generator())
    before = prepare(images, 8)
    blurred = (pixels - before).abs().amax((1, 2, 3)) > 1e-3
    assert 0.2 < blurred.float().mean() < 0.4
    assert (pixels.std((2, 3)) <= before.std((2, 3)) + 1e-5).all()


def test_cutout_makes_one_square_of_the_mean_colour() -> None:
    images = torch.full((300, 32, 32, 3), 255, dtype=torch.uint8)
    hole = (augment(images, still(cutout=0.5), 32, generator()) == 0).all(1)
    cut = hole.any((1, 2))
    assert 0.4 < cut.float().mean() < 0.6
    for square in hole[cut]:
        rows, columns = square.any(1), square.any(0)
        assert torch.equal(square, rows[:, None] & columns)
        assert max(rows.sum(), columns.sum()) <= math.ceil(0.34 * 32)


def test_mixup_blends_with_the_partner_it_names() -> None:
    images = torch.rand(50, 3, 4, 4)
    mixed, partner, weight = mixup(images, 0.4, generator())
    expected = torch.stack([w * images[i] + (1 - w) * images[partner[i]] for i, w in enumerate(weight)])
    torch.testing.assert_close(mixed, expected)
    assert sorted(partner.tolist()) == list(range(50))
    assert ((weight >= 0.5) & (weight <= 1)).all()
    again = mixup(images, 0.4, generator())
    assert torch.equal(mixed, again[0])


def test_mixup_weights_follow_the_folded_beta_distribution() -> None:
    weight = mixup(torch.zeros(20_000, 1, 1, 1), 1.0, generator())[2]
    assert weight.mean() == pytest.approx(0.75, abs=0.01)  # Beta(1, 1) is uniform, folded: uniform on [1/2, 1]


def test_symmetries_are_the_dihedral_group() -> None:
    image = torch.arange(18.0).view(1, 2, 3, 3)
    for kind, count in (("none", 1), ("flips", 4), ("dihedral", 8)):
        views = list(symmetries(image, kind))  # type: ignore[arg-type]
        assert len({tuple(view.flatten().tolist()) for view in views}) == len(views) == count
        assert torch.equal(views[0], image)
    turned = {tuple(image.rot90(k, (2, 3)).flatten().tolist()) for k in range(4)}
    assert turned <= {tuple(view.flatten().tolist()) for view in symmetries(image, "dihedral")}


def test_contact_sheet_shows_the_images_and_their_changes() -> None:
    images = lesions(3, 16).numpy()
    sheet = contact_sheet(images, AugmentRecipe(mixup=0.2), 16, columns=4)
    assert sheet.shape == (3 * (16 + GAP) + GAP, 5 * (16 + GAP) + GAP, 3)
    assert sheet.dtype == np.uint8
    top = 16 + 2 * GAP
    assert np.array_equal(sheet[top : top + 16, GAP : GAP + 16], images[1])
    assert (sheet[:GAP] == 255).all()
    assert np.array_equal(sheet, contact_sheet(images, AugmentRecipe(mixup=0.2), 16, columns=4))
    assert not np.array_equal(sheet, contact_sheet(images, AugmentRecipe(mixup=0.2), 16, columns=4, seed=1))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_draws_and_computes_as_the_cpu() -> None:
    images, recipe = lesions(8, 40), AugmentRecipe(blur=0.5, cutout=0.5)
    here = augment(images, recipe, 48, generator())
    there = augment(images.cuda(), recipe, 48, generator()).cpu()
    torch.testing.assert_close(here, there, rtol=0, atol=2e-3)
