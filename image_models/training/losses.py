"""Cross-entropy and focal loss on soft targets, weighted by class.

One formula serves every case: a binary network's single logit becomes two log-probabilities, and a target is a row of
class shares (one-hot, or mixed by mixup). Everything is computed in float32, whatever precision the network ran in.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from data.errors import RecipeError
from image_models.recipe import ImageModelRecipe


def log_probabilities(logits: Tensor) -> Tensor:
    """Log-probability of every class, (..., 1) -> (..., 2) or (..., C) -> (..., C), in float32 or float64."""
    if logits.dtype != torch.float64:
        logits = logits.float()
    if logits.shape[-1] == 1:
        return torch.cat([functional.logsigmoid(-logits), functional.logsigmoid(logits)], dim=-1)
    return functional.log_softmax(logits, dim=-1)


def smoothed(shares: Tensor, share: float) -> Tensor:
    """Labels of which a share is spread over all classes alike."""
    return shares.lerp(torch.full_like(shares, 1 / shares.shape[1]), share) if share else shares


def summed_loss(logits: Tensor, shares: Tensor, weights: Tensor, focal_gamma: float) -> Tensor:
    """Sum over the batch of -share * weight * (1 - p)^gamma * log p.

    The caller divides by the summed weights of the whole optimiser step, so that accumulating several batches gives the
    gradient of one large batch; for hard targets that is PyTorch's weighted mean.
    """
    log_p = log_probabilities(logits)
    losses = -shares * weights * log_p
    if focal_gamma:
        # 1 - p without cancellation; the floor keeps the gradient of a power below one finite at p = 1.
        losses = losses * (-torch.expm1(log_p)).clamp_min(1e-12) ** focal_gamma
    return losses.sum()


def class_weights(recipe: ImageModelRecipe, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Weight of each class; `balanced` gives every class the same say in the images an epoch really shows."""
    classes = len(counts)
    if recipe.class_weights == "none":
        return np.ones(classes, dtype=np.float32)
    if recipe.class_weights == "balanced":
        weights = counts.sum() / (max(1, np.count_nonzero(counts)) * np.maximum(counts, 1))
        return np.where(counts > 0, weights, 1.0).astype(np.float32)
    if len(recipe.class_weights) != classes or min(recipe.class_weights) < 0 or not any(recipe.class_weights):
        raise RecipeError(
            f"image model {recipe.name}: class_weights = {recipe.class_weights}: give each of the {classes} classes a "
            "weight of at least 0, not all of them 0"
        )
    return np.asarray(recipe.class_weights, dtype=np.float32)
