"""Several pictures of one lesion: packed beside each other, chosen by name, changed and seen each by itself."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data.images.joined import SeveralPictures
from data.images.pack import ImagePack, pack_fingerprint
from data.images.pack_build import build_pack
from data.images.shards import Beside, Shards
from data.images.sources import FolderImages
from image_models.lesions import Lesions
from image_models.networks.zoo import build
from image_models.recipe import AugmentRecipe, ImageModelRecipe
from image_models.training.augment import augment, prepare

NAMES = ("dermoscopic", "clinical")


@pytest.fixture
def two() -> Beside:
    rng = np.random.default_rng(0)
    first, second = (rng.integers(0, 256, (6, 32, 32, 3), np.uint8) for _ in range(2))
    return Beside(dict(zip(NAMES, (Shards((first[:2], first[2:])), second), strict=True)))


def seen(pictures: Beside, *names: str) -> torch.Tensor:
    chosen = pictures.of(names)
    if not isinstance(chosen, Beside):
        return torch.from_numpy(np.asarray(chosen))
    out = np.empty(chosen.shape, np.uint8)
    chosen.take(np.arange(len(chosen)), out)
    return torch.from_numpy(out)


def recipe(**keys: object) -> ImageModelRecipe:
    known = {"name": "net", "backbone": "lesion_net", "pretrained": "none", "image_size": 32, "hidden": 4}
    return ImageModelRecipe(**known | keys)  # type: ignore[arg-type]


def test_each_picture_is_changed_by_itself(two: Beside) -> None:
    changes = AugmentRecipe(blur=0.5, cutout=0.5)
    pair, one, other = seen(two, *NAMES), seen(two, NAMES[0]), seen(two, NAMES[1])
    found = augment(pair, changes, 24, torch.Generator().manual_seed(1))
    alone = augment(torch.stack([one, other], 1).flatten(0, 1), changes, 24, torch.Generator().manual_seed(1))
    torch.testing.assert_close(found, torch.cat([alone[::2], alone[1::2]], dim=1))
    share = slice(2, 5)
    part = augment(pair[share], changes, 24, torch.Generator().manual_seed(1), share=share, batch=6)
    torch.testing.assert_close(part, found[share], rtol=0, atol=1e-5)
    torch.testing.assert_close(prepare(pair, 24), torch.cat([prepare(one, 24), prepare(other, 24)], dim=1))


@pytest.mark.parametrize("second", ["lesion_net", "same"])
def test_each_branch_sees_its_own_picture(two: Beside, second: str) -> None:
    torch.manual_seed(0)
    model = build(recipe(second_backbone=second, pictures=NAMES), 2).eval()
    first, other = model.branches[0], model.branches[-1]
    with torch.inference_mode():
        vectors = model.image_vectors(prepare(seen(two, *NAMES), 32))
        expected = [branch.vectors(prepare(seen(two, n), 32)) for branch, n in zip((first, other), NAMES, strict=True)]
    torch.testing.assert_close(vectors, torch.cat(expected, dim=1))
    assert len(model.branches) == (1 if second == "same" else 2)


def test_a_recipe_chooses_pictures_by_name(two: Beside) -> None:
    unknown = np.full(6, -1)
    lesions = Lesions(
        two, np.ones(6, np.bool_), unknown, unknown, unknown, 2, np.arange(6).astype(str), None, None, "x"
    )
    first, clinical = lesions.seen_by(recipe()), lesions.seen_by(recipe(pictures=("clinical",)))
    both = lesions.seen_by(recipe(pictures=NAMES[::-1], second_backbone="lesion_net"))
    np.testing.assert_array_equal(np.asarray(first.images), np.asarray(two.pictures["dermoscopic"]))
    np.testing.assert_array_equal(np.asarray(clinical.images), np.asarray(two.pictures["clinical"]))
    assert isinstance(both.images, Beside)
    assert list(both.images.pictures) == ["clinical", "dermoscopic"]
    assert len({lesions.images_fingerprint for lesions in (first, clinical, both)}) == 3


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"pictures": NAMES}, "two pictures need a second_backbone"),
        ({"pictures": ("a", "a"), "second_backbone": "same"}, "one or two different ones"),
        ({"second_backbone": "same"}, "another size than image_size, or two pictures"),
    ],
)
def test_pictures_that_no_branch_sees_are_refused(keys: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipe(**keys)


def test_a_pack_of_two_pictures_opens_as_it_was_built(tmp_path: Path) -> None:
    for place, name in enumerate(NAMES):
        (tmp_path / name).mkdir()
        for lesion in "abc"[: 3 - place]:
            shade = np.full((9, 9, 3), ord(lesion) + 10 * place, np.uint8)
            Image.fromarray(shade).save(tmp_path / name / f"{lesion}.png")
    source = SeveralPictures({name: FolderImages(tmp_path / name) for name in NAMES})
    ids = np.array(["b", "a", "c"])
    assert source.ids.tolist() == ["a", "b"]
    for part in (None, 2):
        folder = tmp_path / f"pack-{part}"
        built = build_pack(source, ids, folder, size=8, lesions_per_part=part, max_missing_share=0.5, workers=1)
        opened = ImagePack.open(folder, verify="full")
        assert opened.present.tolist() == built.present.tolist() == [True, True, False]
        assert opened.fingerprint == pack_fingerprint(source, ids, 8)
        for name in NAMES:
            alone = build_pack(
                source.pictures[name], ids, tmp_path / f"alone-{name}", size=8, max_missing_share=0.5, workers=1
            )
            np.testing.assert_array_equal(np.asarray(opened.pictures[name]), np.asarray(alone.images))
        np.testing.assert_array_equal(np.asarray(opened.images), np.asarray(opened.pictures[NAMES[0]]))
