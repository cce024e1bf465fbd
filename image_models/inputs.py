"""What the network sees: images augmented for training or only normalised for prediction, labels as shares.

On a GPU this is done on a stream of its own, one step ahead of the network. The random changes of a step come from a
stream of numbers named by the step, so working ahead, stopping and resuming cannot change them.
"""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from image_models.augment import augment, mixup, prepare
from image_models.lesions import Lesions
from image_models.loader import Batch, Ints, Resident, batches
from image_models.plan import STREAM_STEP, FitPlan, derived_seed
from image_models.precision import DTYPES, Precision
from image_models.recipe import ImageModelRecipe


@dataclass(frozen=True)
class Part:
    """One batch as the network and the loss take it."""

    pixels: Tensor
    shares: Tensor
    """(N, classes): one-hot, or mixed."""
    metadata: Tensor | None

    def tensors(self) -> list[Tensor]:
        """Every tensor."""
        return [tensor for tensor in (self.pixels, self.shares, self.metadata) if tensor is not None]


@dataclass(frozen=True)
class StepInput:
    """The batches of one optimiser step."""

    number: int
    """Step of the fit, counted from 0."""
    seed: int
    """Of everything random in the step."""
    rows: Ints
    parts: list[Part]

    def tensors(self) -> list[Tensor]:
        """Every tensor."""
        return [tensor for part in self.parts for tensor in part.tensors()]


def step_inputs(
    recipe: ImageModelRecipe,
    lesions: Lesions,
    plan: FitPlan,
    *,
    epoch: int,
    first: int,
    seed: int,
    device: torch.device,
    precision: Precision,
    resident: Resident | None,
) -> Generator[StepInput]:
    """The steps of an epoch (counted from 0), from step `first` of it on."""
    steps = list(plan.sampler.steps(epoch, first))
    number = epoch * plan.sampler.steps_per_epoch + first
    with closing(batches(lesions, plan.labels, [rows for step in steps for rows in step], device, resident)) as loaded:
        for offset, step in enumerate(steps):
            stream = derived_seed(seed, STREAM_STEP, plan.number, number + offset)
            generator = torch.Generator().manual_seed(stream)
            parts = [_part(batch, recipe, lesions.classes, generator, precision) for batch in islice(loaded, len(step))]
            yield StepInput(number + offset, stream, np.concatenate(step), parts)


@dataclass(frozen=True)
class PlainInput:
    """A batch to predict."""

    pixels: Tensor
    metadata: Tensor | None
    count: int

    def tensors(self) -> list[Tensor]:
        """Every tensor."""
        return [tensor for tensor in (self.pixels, self.metadata) if tensor is not None]


def plain_inputs(
    recipe: ImageModelRecipe, lesions: Lesions, rows: Ints, *, device: torch.device, precision: Precision
) -> Generator[PlainInput]:
    """The images of `rows` in their order, without any change but size and normalisation."""
    width = recipe.predict_batch_size
    parts = [rows[start : start + width] for start in range(0, len(rows), width)]
    with closing(batches(lesions, lesions.target, parts, device)) as loaded:
        for batch in loaded:
            pixels = prepare(batch.images, recipe.image_size, DTYPES[precision])
            yield PlainInput(in_layout(pixels, recipe), batch.metadata, len(batch.rows))


def in_layout(pixels: Tensor, recipe: ImageModelRecipe) -> Tensor:
    """Pixels in the memory layout of the recipe."""
    return pixels.contiguous(memory_format=torch.channels_last if recipe.channels_last else torch.contiguous_format)


def _part(
    batch: Batch, recipe: ImageModelRecipe, classes: int, generator: torch.Generator, precision: Precision
) -> Part:
    pixels = augment(batch.images, recipe.augment, recipe.image_size, generator, DTYPES[precision])
    shares = functional.one_hot(batch.labels, classes).float()
    if recipe.augment.mixup:
        pixels, partner, own = mixup(pixels, recipe.augment.mixup, generator)
        shares = torch.lerp(shares[partner], shares, own[:, None])
    return Part(in_layout(pixels, recipe), shares, batch.metadata)
