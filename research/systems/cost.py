"""What a network weighs and how long it takes for one image on one thread."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from image_models.networks.cost import blank_inputs, describe

REPEATS = 7


@dataclass(frozen=True)
class SystemCost:
    """Of a trained network, or the sum of several."""

    parameters: int
    megabytes: float
    ms_per_image: float
    """Median of a few single images on one thread of the CPU."""


def cost_of(model: nn.Module, image_size: int, *, sees_images: bool) -> SystemCost:
    """Count and time a network."""
    model = model.to("cpu").eval()
    size = image_size if sees_images else 1
    facts = describe(model, size)
    inputs = blank_inputs(model, size)
    seconds = []
    with torch.inference_mode(), one_thread():
        for _ in range(REPEATS + 1):
            start = time.perf_counter()
            model(*inputs)
            seconds.append(time.perf_counter() - start)
    return SystemCost(facts.parameters, facts.megabytes, 1000 * float(np.median(seconds[1:])))


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one thread for a while."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
