"""A sheet of lesions beside random changes of them, to look at: the only test of an augmentation that counts.

Returns pixels; writing them to an image file is the caller's business.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from image_models.recipe import AugmentRecipe
from image_models.training.augment import IMAGENET_MEAN, IMAGENET_STD, augment, mixup, prepare

GAP = 4
"""White pixels between pictures."""


def contact_sheet(
    images: npt.NDArray[np.uint8], recipe: AugmentRecipe, size: int, *, columns: int = 8, seed: int = 0
) -> npt.NDArray[np.uint8]:
    """Lay out one row per image (n, H, W, 3): first what prediction sees, then `columns` random changes.

    Mixup partners are other lesions of the sheet, as in training they are others of the batch.
    """
    generator = torch.Generator().manual_seed(seed)
    batch = torch.from_numpy(np.ascontiguousarray(images))
    shown = [prepare(batch, size)]
    for _ in range(columns):
        changed = augment(batch, recipe, size, generator)
        shown.append(mixup(changed, recipe.mixup, generator)[0] if recipe.mixup else changed)
    pictures = torch.stack([as_picture(pixels) for pixels in shown], dim=1)
    rows, across = pictures.shape[:2]
    sheet = np.full((rows * (size + GAP) + GAP, across * (size + GAP) + GAP, 3), 255, dtype=np.uint8)
    for row in range(rows):
        for column in range(across):
            top, left = (place * (size + GAP) + GAP for place in (row, column))
            sheet[top : top + size, left : left + size] = pictures[row, column].numpy()
    return sheet


def as_picture(pixels: Tensor) -> Tensor:
    """Undo the normalisation of (N, 3, S, S) network input; return (N, S, S, 3) uint8, clipped as a screen would."""
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    return ((pixels.permute(0, 2, 3, 1) * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
