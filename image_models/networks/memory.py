"""Memory and operations that a network takes, by estimate: counted on PyTorch's device without memory."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

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
OPERATIONS_MEANWHILE = 25
"""What a processor or a GPU computes, about, while it moves one number: small networks are bound by moving."""


def working_bytes(recipe: ImageModelRecipe, classes: int, *, training: bool) -> int:
    """Bytes of weights and of what a batch leaves behind; the head, small beside its branches, is not counted."""
    total = 0
    learns = training and not recipe.frozen
    images = recipe.batch_size if learns else PREDICTED_AT_ONCE
    for part in recipe.image_branches():
        count = counted(part)
        kept = KEPT_TRAINING * sum(count.outputs) if learns else LAYERS_PREDICTING * max(count.outputs, default=0)
        copies = COPIES_TRAINING if learns else 1
        total += int(FLOAT_BYTES * (copies * count.parameters + images * kept))
    return total


def work_per_image(recipe: ImageModelRecipe) -> int:
    """What an image costs on its way forward, in operations: those of the layers, and the moving of what they give."""
    counts = [counted(part) for part in recipe.image_branches()]
    return sum(count.operations + OPERATIONS_MEANWHILE * sum(count.outputs) for count in counts)


@dataclass(frozen=True)
class Count:
    """What a backbone is made of."""

    parameters: int
    outputs: tuple[int, ...]
    """Numbers that each of its layers makes of one image."""
    operations: int


@cache
def counted(recipe: ImageModelRecipe) -> Count:
    """Count a backbone's parameters and what it does to one image."""
    outputs: list[int] = []

    def note(_module: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            outputs.append(output.numel())

    with torch.device("meta"):
        backbone = build_backbone(replace(recipe, pretrained="none")).eval()
        for module in backbone.modules():
            if not list(module.children()):
                module.register_forward_hook(note)
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            backbone.forward_features(torch.zeros(1, 3, recipe.image_size, recipe.image_size))
    parameters = sum(parameter.numel() for parameter in backbone.parameters())
    return Count(parameters, tuple(outputs), counter.get_total_flops())


def memory_remedy(recipe: ImageModelRecipe) -> str:
    """What to change when the device's memory is full."""
    batch = (
        f"lower batch_size (now {recipe.batch_size}; raise accumulate, now {recipe.accumulate}, by the same factor to "
        "keep the step)"
    )
    if recipe.trains_on_vectors:
        return batch
    return f"{batch} or image_size (now {recipe.image_size}), or set precision = 'bf16' or resident = 'host'"
