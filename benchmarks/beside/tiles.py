"""Tiles as an archive holds them, and the straightforward way to feed them to a network: image by image."""

import io
from pathlib import Path

import h5py
import numpy as np
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import transforms

from image_models.lesions import Lesions
from image_models.recipe import ImageModelRecipe
from image_models.training.augment import IMAGENET_MEAN, IMAGENET_STD

DIFFERENT = 256
"""Tiles that are drawn; the others repeat them."""


def write_tiles(path: Path, images: int) -> list[str]:
    """Write an HDF5 file of JPEG tiles, 131 pixels in the median and 2 to 4 KB as SLICE-3D's; return their names."""
    rng = np.random.default_rng(0)
    tiles = []
    for side in np.clip(rng.lognormal(np.log(131), 0.2, min(images, DIFFERENT)), 61, 269).astype(int):
        skin = Image.fromarray(rng.integers(90, 220, (6, 6, 3), np.uint8)).resize((side, side))
        noisy = np.clip(np.asarray(skin, np.float64) + rng.normal(0, 3, (side, side, 3)), 0, 255).astype(np.uint8)
        jpeg = io.BytesIO()
        Image.fromarray(noisy).save(jpeg, "JPEG", quality=80)
        tiles.append(np.bytes_(jpeg.getvalue()))
    names = [f"ISIC_{number:07}" for number in range(images)]
    with h5py.File(path, "w") as file:
        for number, name in enumerate(names):
            file.create_dataset(name, data=tiles[number % len(tiles)])
    return names


def packed(path: Path, names: list[str], side: int, folder: Path) -> Lesions:
    """Decode the tiles into a memory-mapped pack with labels made up."""
    images = np.memmap(folder / "pack", np.uint8, "w+", shape=(len(names), side, side, 3))
    with h5py.File(path, "r") as file:
        for row, name in enumerate(names):
            images[row] = np.asarray(Image.open(io.BytesIO(file[name][()])).convert("RGB").resize((side, side)))
    rows = np.arange(len(names))
    return Lesions(images, np.ones(len(rows), np.bool_), rows % 2, rows % 2, rows, 2, np.array(names))


class Tiles(Dataset[tuple[Tensor, int]]):
    """The straightforward way: one file opened, one image decoded, one image augmented at a time."""

    def __init__(self, path: Path, names: list[str], recipe: ImageModelRecipe) -> None:
        self.path, self.names = path, names
        wanted = recipe.augment
        self.transform = transforms.Compose(
            [
                transforms.RandomResizedCrop(recipe.image_size, wanted.crop_scale, wanted.crop_ratio),
                transforms.RandomRotation(wanted.rotation_degrees),
                transforms.RandomHorizontalFlip(),
                transforms.RandomVerticalFlip(),
                transforms.ColorJitter(wanted.brightness, wanted.contrast, wanted.saturation, wanted.hue),
                transforms.ToTensor(),
                transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
            ]
        )

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self.names)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        """Return one augmented image and its made-up label."""
        with h5py.File(self.path, "r") as file:
            image = Image.open(io.BytesIO(file[self.names[row]][()])).convert("RGB")
        return self.transform(image), row % 2
