"""What the tests of this folder share."""

import math
from typing import Any

import numpy as np
import torch

from image_models.recipe import AugmentRecipe
from image_models.training.augment import (
    DRAWS,
    IMAGENET_MEAN,
    IMAGENET_STD,
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


def matrix(*rows: float) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32).view(1, 2, 3)


def drawn(**positions: float) -> torch.Tensor:
    """One row of draws, a half everywhere (no change) but where said."""
    row = torch.full((1, DRAWS), 0.5)
    for index, value in positions.items():
        row[0, int(index[1:])] = value
    return row


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
