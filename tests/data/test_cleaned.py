"""Steps of cleaning on pictures whose right answer is known."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from data.images.cleaned import CleanedImages, clean_source, cleaned, with_even_contrast, without_cast, without_hair
from data.images.decode import pixels
from data.images.joined import SeveralPictures
from data.images.sources import FolderImages


@pytest.fixture
def skin() -> np.ndarray:
    """A lesion on skin, smooth and without noise."""
    y, x = np.mgrid[:120, :120]
    image = np.full((120, 120, 3), (215, 170, 150), np.float64)
    image -= 110 * np.exp(-((x - 60) ** 2 + (y - 60) ** 2) / (2 * 22**2))[..., None]
    return image.astype(np.uint8)


def test_hairs_go_and_the_lesion_stays(skin: np.ndarray) -> None:
    hairy = skin.copy()
    for start, end in (((0, 20), (119, 45)), ((30, 119), (95, 0)), ((0, 90), (119, 100))):
        cv2.line(hairy, start, end, (40, 30, 25), 2)
    found = without_hair(hairy).astype(int)
    before = np.abs(hairy.astype(int) - skin).mean()
    assert np.abs(found - skin).mean() < 0.15 * before
    assert np.abs(found[45:75, 45:75] - skin[45:75, 45:75]).mean() < 6
    np.testing.assert_array_equal(without_hair(skin), skin)


def test_a_colour_cast_is_taken_out(skin: np.ndarray) -> None:
    cast = np.clip(skin * np.array([0.7, 1.0, 1.1]), 0, 255).astype(np.uint8)
    for image in (skin, cast):
        means = without_cast(image).reshape(-1, 3).mean(axis=0)
        assert means.max() - means.min() < 1.5
    # The brightness stays what it was, so the pictures are compared in shares of it.
    one, other = (image / image.mean() for image in (without_cast(cast), without_cast(skin)))
    assert np.abs(one - other).mean() < 0.02
    assert np.abs(cast / cast.mean() - skin / skin.mean()).mean() > 0.1


def test_contrast_is_evened_in_lightness_alone() -> None:
    """A dark and a bright half of faint texture: within each it gains, as far as the limit lets it."""
    texture = np.random.default_rng(0).normal(0, 8, (512, 512, 1)) + np.where(np.arange(512) < 256, 90, 170)[:, None]
    dull = np.clip(texture + np.array((15, 0, -15)), 0, 255).astype(np.uint8)
    lab, before = (cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(int) for image in (with_even_contrast(dull), dull))
    for half in (slice(64, 192), slice(320, 448)):
        assert 1.3 < lab[half, half, 0].std() / before[half, half, 0].std() < 4
    assert np.abs(lab[..., 1:] - before[..., 1:]).mean() < 3


def test_a_source_gives_its_pictures_cleaned_and_says_so_in_its_fingerprint(skin: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(skin).save(tmp_path / "a.png")
    source = FolderImages(tmp_path)
    clean = CleanedImages(source, ("colour", "contrast"))
    np.testing.assert_array_equal(pixels(clean.read("a")), cleaned(skin, ("colour", "contrast")))
    assert clean.ids.tolist() == ["a"]
    assert len({clean.fingerprint, source.fingerprint, CleanedImages(source, ("colour",)).fingerprint}) == 3
    assert clean_source(source, ()) is source
    assert clean_source(None, ("hair",)) is None
    several = clean_source(SeveralPictures({"one": source, "two": source}), ("colour",))
    assert isinstance(several, SeveralPictures)
    np.testing.assert_array_equal(pixels(several.pictures["two"].read("a")), without_cast(skin))
