"""Memory that a network takes at work, by estimate: counted layer by layer on PyTorch's device without memory."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from image_models.networks.zoo import build_backbone
from image_models.recipe import ImageModelRecipe

FLOAT_BYTES = 4
COPIES_TRAINING = 5
"""Weights, gradients, two moments of Adam, the moving average."""
KEPT_TRAINING = 2.0
"""What the layers give is kept for the way back, and about as much again is made there."""
LAYERS_PREDICTING = 3
"""Without a way back, this many layers' outputs are in memory at a time."""
PREDICTED_AT_ONCE = 256


def working_bytes(recipe: ImageModelRecipe, classes: int, *, training: bool) -> int:
    """Bytes of weights and of what a batch leaves behind; the head, small beside its branches, is not counted."""
    total = 0
    learns = training and not recipe.frozen
    images = recipe.batch_size if learns else PREDICTED_AT_ONCE
    for part in recipe.image_branches():
        parameters, outputs = counted(part)
        kept = KEPT_TRAINING * sum(outputs) if learns else LAYERS_PREDICTING * max(outputs, default=0)
        copies = COPIES_TRAINING if learns else 1
        total += int(FLOAT_BYTES * (copies * parameters + images * kept))
    return total


def counted(recipe: ImageModelRecipe) -> tuple[int, list[int]]:
    """Parameters of a backbone, and the numbers that each of its layers makes of one image."""
    outputs: list[int] = []

    def note(_module: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            outputs.append(output.numel())

    with torch.device("meta"):
        backbone = build_backbone(replace(recipe, pretrained="none")).eval()
        for module in backbone.modules():
            if not list(module.children()):
                module.register_forward_hook(note)
        with torch.inference_mode():
            backbone.forward_features(torch.zeros(1, 3, recipe.image_size, recipe.image_size))
    return sum(parameter.numel() for parameter in backbone.parameters()), outputs
