"""What a network costs: parameters, megabytes, operations per image."""

import time
from dataclasses import dataclass
from statistics import median

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from image_models.networks.metadata_shape import MetadataShape
from image_models.threads import with_threads

TIMED_SECONDS = 2.0
"""At most this long is a network timed; a median over seconds is steadier than one of a fixed count of images."""
TIMED_IMAGES = 30


@dataclass(frozen=True)
class Cost:
    """What a network weighs and works."""

    parameters: int
    megabytes: float
    """Size of its float32 parameters and buffers."""
    gflops: float
    """Billions of floating-point operations for one image forward; a multiply-add counts as two."""


@torch.inference_mode()
def describe(model: nn.Module, image_size: int) -> Cost:
    """Measure a network's cost with one image, and metadata if it takes any, on the device it is on."""
    training = model.training
    device = next(model.parameters()).device
    tensors = [*model.parameters(), *model.buffers()]
    counter = FlopCounterMode(display=False)
    with counter:
        model.eval()(*blank_inputs(model, image_size, device))
    model.train(training)
    return Cost(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        megabytes=sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1e6,
        gflops=counter.get_total_flops() / 1e9,
    )


def blank_inputs(model: nn.Module, image_size: int, device: torch.device | str = "cpu") -> list[torch.Tensor]:
    """One black image, and metadata of zeros if the network takes any."""
    shape: MetadataShape | None = getattr(model, "metadata_shape", None)
    inputs = [torch.zeros(1, 3, image_size, image_size, device=device)]
    return inputs + ([torch.zeros(1, shape.width, device=device)] if shape else [])


@torch.inference_mode()
def milliseconds_per_image(model: nn.Module, image_size: int) -> float:
    """Median time of one image on one thread of the processor, of a network in evaluation that is there."""
    inputs, times = blank_inputs(model, image_size), list[float]()
    with with_threads(1):
        model(*inputs)
        while len(times) < TIMED_IMAGES and sum(times) < TIMED_SECONDS:
            started = time.perf_counter()
            model(*inputs)
            times.append(time.perf_counter() - started)
    return 1000.0 * median(times)
