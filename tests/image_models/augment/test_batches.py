import math

import numpy as np
import pytest
import torch

from image_models.contact_sheet import GAP, contact_sheet
from image_models.recipe import AugmentRecipe
from image_models.training.augment import (
    augment,
    mixup,
    prepare,
    symmetries,
)
from tests.image_models.augment.shared import MEAN, STD, generator, lesions, still


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
