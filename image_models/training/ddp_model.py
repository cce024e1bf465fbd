"""A network in training, on one process or on several that average their gradients.

PyTorch's `DistributedDataParallel` exchanges gradients while they are still being computed. Batch normalisation uses
the statistics of all processes' images, so that a batch means the same however many processes share it. Which images
these are is said in `inputs.py`.
"""

import copy
import inspect
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from timm.layers import convert_sync_batchnorm  # type: ignore[attr-defined]
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from image_models.training.distributed import ALONE, Ranks
from image_models.training.inputs import Shown
from image_models.training.shared_batch_norm import share_statistics

BUFFERS = next(
    name
    for name in ("forward_sync_buffers", "broadcast_buffers")
    if name in inspect.signature(DistributedDataParallel).parameters
)
"""How DistributedDataParallel calls the copying of buffers before each pass; the second is the name of old."""


class DdpModel:
    """The network as a loss asks it for logits; with several processes behind `DistributedDataParallel`."""

    def __init__(self, model: nn.Module, ranks: Ranks = ALONE, sample: Shown | None = None) -> None:
        """`sample`: two lesions' worth of what the network will be shown, for processes that train together."""
        self.model, self.ranks = model, ranks
        self._asking: nn.Module = _Asking(model)
        if ranks.count > 1:
            unused = has_unused_weights(self._asking, sample)
            # Batch statistics, the only buffers that change, are alike by themselves.
            still: dict[str, Any] = {BUFFERS: False, "find_unused_parameters": unused}
            self._asking = DistributedDataParallel(self._asking, **still)

    def logits(self, shown: Shown) -> Tensor:
        """What the network answers."""
        logits: Tensor = self._asking(shown.pixels, shown.vectors, shown.metadata)
        return logits

    def exchanging(self, last: bool) -> AbstractContextManager[None]:
        """Context of one batch's passes: gradients are exchanged behind the last batch of a step."""
        if last or not isinstance(self._asking, DistributedDataParallel):
            return nullcontext()
        return self._asking.no_sync()


class _Asking(nn.Module):
    """A module whose forward pass takes images or vectors, as DistributedDataParallel wants it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor | None, vectors: Tensor | None, metadata: Tensor | None) -> Tensor:
        """Return logits."""
        return Shown(pixels, vectors, metadata).logits(self.model)


def has_unused_weights(asking: nn.Module, sample: Shown | None) -> bool:
    """Whether a pass over a sample leaves weights without a gradient, as some of timm's networks do.

    PyTorch waits for every weight's gradient unless it is told to look for these at every step, which costs time.
    """
    if sample is None:
        return True
    trial = copy.deepcopy(asking).train()
    devices = {tensor.device for tensor in sample.tensors() if tensor.device.type == "cuda"}
    with torch.random.fork_rng(devices=devices):
        trial(sample.pixels, sample.vectors, sample.metadata).sum().backward()
    return any(weight.requires_grad and weight.grad is None for weight in trial.parameters())


def with_shared_statistics(model: nn.Module, device: torch.device) -> nn.Module:
    """The model with batch normalisation over the images of all processes; weights and their names stay."""
    converted: nn.Module = (convert_sync_batchnorm if device.type == "cuda" else share_statistics)(model)
    return converted
