"""How many threads a fold model gains from on a processor that has cores to spare: measured once, then remembered.

With another number of threads sums round otherwise. So the choice is made once per machine, network and image size, as
that of the number format is, and kept in the caller's cache folder.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from data.files import fingerprint, read_json
from image_models.networks.zoo import build_backbone
from image_models.precision import processor, write_once
from image_models.recipe import ImageModelRecipe

WORTHWHILE = 1.25
"""How much faster the next larger number must be: threads that gain little wait for each other, and much more so when
other programs want the cores."""
TIMED_IMAGES = 32
REPEATS = 3


def worthwhile_threads(recipe: ImageModelRecipe, most: int, cache_dir: Path) -> int:
    """Threads, at most so many, of one model in training."""
    if most < 2 or recipe.trains_on_vectors:
        return 1
    key = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "most": most,
        "torch": torch.__version__,
        "branches": [[part.backbone, part.image_size] for part in recipe.image_branches()],
        "batch_size": recipe.batch_size,
        "channels_last": recipe.channels_last,
    }
    path = cache_dir / "cpu_threads" / f"{fingerprint(key)[:16]}.json"
    if not path.exists():
        speeds = training_speeds(recipe, numbers_to_try(most))
        named = {str(threads): round(speed, 1) for threads, speed in speeds.items()}
        write_once(path, {**key, "images_per_second": named, "threads": best_of(speeds)})
    chosen: int = read_json(path)["threads"]
    return chosen


def numbers_to_try(most: int) -> list[int]:
    """1, 2, 4 and so on, and the most."""
    return sorted({2**power for power in range(most.bit_length())} | {most})


def best_of(speeds: dict[int, float]) -> int:
    """The fewest threads that none of the larger numbers is much faster than."""
    chosen = 1
    for threads in sorted(speeds):
        if speeds[threads] > WORTHWHILE * speeds[chosen]:
            chosen = threads
    return chosen


def training_speeds(recipe: ImageModelRecipe, numbers: list[int]) -> dict[int, float]:
    """Images a second, forward and back, with each number of threads by turns; the best of a few turns each."""
    with torch.random.fork_rng(devices=[]):
        branches = [placed_backbone(part) for part in recipe.image_branches()]
    count = min(recipe.batch_size, TIMED_IMAGES)
    best = dict.fromkeys(numbers, float("inf"))
    for turn in range(REPEATS + 1):
        for threads in numbers:
            with with_threads(threads):
                began = time.perf_counter()
                for backbone, side in branches:
                    one_step(backbone, count, side, recipe.channels_last)
                seconds = time.perf_counter() - began
            if turn:  # the first warms up
                best[threads] = min(best[threads], seconds)
    return {threads: count / seconds for threads, seconds in best.items()}


def placed_backbone(part: ImageModelRecipe) -> tuple[nn.Module, int]:
    """A backbone with weights at random and the side of its images."""
    backbone: nn.Module = build_backbone(replace(part, pretrained="none")).train()
    layout = torch.channels_last if part.channels_last else torch.contiguous_format
    return backbone.to(memory_format=layout), part.image_size


def one_step(backbone: nn.Module, count: int, side: int, channels_last: bool) -> None:
    """Forward and back, as in a training step."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    forward: Any = backbone.forward_features
    features: Tensor = forward(torch.zeros(count, 3, side, side).contiguous(memory_format=layout))
    features.float().sum().backward()  # type: ignore[no-untyped-call]
    backbone.zero_grad(set_to_none=True)


@contextmanager
def with_threads(count: int) -> Iterator[None]:
    """PyTorch on so many threads for a while."""
    threads = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
