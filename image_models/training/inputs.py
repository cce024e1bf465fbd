"""What the network sees: images augmented for training or only normalised for prediction, metadata, labels as shares.

On a GPU this is done on a stream of its own, one step ahead of the network. The random changes of a step come from a
stream of numbers named by the step, so working ahead, stopping and resuming cannot change them.
"""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from image_models.lesions import Ints, Lesions
from image_models.precision import DTYPES
from image_models.recipe import ImageModelRecipe
from image_models.setup import Setup
from image_models.training.augment import augment, mixup, prepare
from image_models.training.loader import Batch, Resident, batches
from image_models.training.losses import smoothed
from image_models.training.plan import STREAM_STEP, FitPlan, derived_seed

PIXELS_ON_GPU = 1024 * 256**2
"""Of one channel, that a GPU predicts at once when the recipe asks for no more: 1,024 lesions at 256 pixels."""


@dataclass(frozen=True)
class Shown:
    """What a network is shown of one batch: pixels, or vectors in their place; metadata if it takes any."""

    pixels: Tensor | None
    """(N, 3, S, S), normalised, in the network's number format."""
    vectors: Tensor | None
    """(N, width), float32."""
    metadata: Tensor | None
    """(N, m), float32."""

    def tensors(self) -> list[Tensor]:
        """Every tensor."""
        return [tensor for tensor in (self.pixels, self.vectors, self.metadata) if tensor is not None]

    def logits(self, model: nn.Module) -> Tensor:
        """What the network answers."""
        ask: Any = model if self.vectors is None else model.from_vectors
        seen = self.pixels if self.vectors is None else self.vectors
        answer: Tensor = ask(seen) if self.metadata is None else ask(seen, self.metadata)
        return answer

    def cut(self, share: slice) -> "Shown":
        """Some of the lesions."""
        return Shown(*(None if x is None else x[share] for x in (self.pixels, self.vectors, self.metadata)))


@dataclass(frozen=True)
class TrainingBatch:
    """One batch as the network and the loss take it."""

    shown: Shown
    shares: Tensor
    """(N, classes): one-hot, or mixed."""

    def tensors(self) -> list[Tensor]:
        """Every tensor."""
        return [*self.shown.tensors(), self.shares]


@dataclass(frozen=True)
class StepInput:
    """The batches of one optimiser step, or one process's share of each."""

    number: int
    """Step of the fit, counted from 0."""
    seed: int
    """Of everything random in the step."""
    rows: Ints
    """Of the whole step, whoever takes them."""
    batches: list[TrainingBatch]

    def tensors(self) -> list[Tensor]:
        """Every tensor."""
        return [tensor for batch in self.batches for tensor in batch.tensors()]


def step_inputs(
    recipe: ImageModelRecipe,
    lesions: Lesions,
    plan: FitPlan,
    setup: Setup,
    *,
    epoch: int,
    first: int = 0,
    seed: int,
    resident: Resident | None = None,
) -> Generator[StepInput]:
    """The steps of an epoch (counted from 0), from step `first` of it on.

    Every process takes a block of every batch, with the random changes that these images get in the whole batch. With
    mixup each prepares the whole batch, since an image's partner may be another's.
    """
    steps = list(plan.sampler.steps(epoch, first))
    number = epoch * plan.sampler.steps_per_epoch + first
    side = recipe.small_size if epoch < recipe.small_epochs else recipe.input_size
    taken = [rows if recipe.augment.mixup else rows[setup.ranks.share(len(rows))] for step in steps for rows in step]
    with closing(batches(lesions, plan.labels, taken, setup.device, resident)) as loaded:
        for offset, step in enumerate(steps):
            stream = derived_seed(seed, STREAM_STEP, plan.number, number + offset)
            generator = torch.Generator().manual_seed(stream)
            made = [
                _training_batch(batch, recipe, lesions.classes, generator, setup, len(rows), side)
                for rows, batch in zip(step, islice(loaded, len(step)), strict=True)
            ]
            yield StepInput(number + offset, stream, np.concatenate(step), made)


@dataclass(frozen=True)
class PlainInput:
    """A batch to predict."""

    shown: Shown
    count: int

    def tensors(self) -> list[Tensor]:
        """Every tensor."""
        return self.shown.tensors()


def plain_inputs(
    recipe: ImageModelRecipe,
    lesions: Lesions,
    rows: Ints,
    setup: Setup,
    resident: Resident | None = None,
) -> Generator[PlainInput]:
    """The images of `rows` in their order, without any change but size and normalisation; or the resident vectors."""
    width = predicted_at_once(recipe, setup.device)
    parts = [rows[start : start + width] for start in range(0, len(rows), width)]
    with closing(batches(lesions, lesions.target, parts, setup.device, resident)) as loaded:
        for batch in loaded:
            if are_vectors(batch.images):
                shown = Shown(None, batch.images, batch.metadata)
            else:
                pixels = prepare(batch.images, recipe.input_size, DTYPES[setup.precision], recipe.normalise)
                shown = Shown(in_layout(pixels, recipe), None, batch.metadata)
            yield PlainInput(shown, len(batch.rows))


def predicted_at_once(recipe: ImageModelRecipe, device: torch.device) -> int:
    """Lesions per batch: the recipe's number, on a GPU up to four times as many as long as their images are small."""
    if device.type != "cuda":
        return recipe.predict_batch_size
    at_home = PIXELS_ON_GPU // recipe.input_size**2
    return max(recipe.predict_batch_size, min(4 * recipe.predict_batch_size, at_home))


def are_vectors(images: Tensor) -> bool:
    """Whether a batch holds one vector per lesion rather than its image."""
    return images.ndim == 2


def in_layout(pixels: Tensor, recipe: ImageModelRecipe) -> Tensor:
    """Pixels in the memory layout of the recipe."""
    return pixels.contiguous(memory_format=torch.channels_last if recipe.channels_last else torch.contiguous_format)


def _training_batch(
    batch: Batch,
    recipe: ImageModelRecipe,
    classes: int,
    generator: torch.Generator,
    setup: Setup,
    length: int,
    side: int,
) -> TrainingBatch:
    """This process's share of a batch of `length` lesions; `batch` holds it, or with mixup the whole."""
    share = setup.ranks.share(length)
    labels = smoothed(functional.one_hot(batch.labels, classes).float(), recipe.label_smoothing)
    if are_vectors(batch.images):
        whole = TrainingBatch(Shown(None, batch.images, batch.metadata), labels)
        return TrainingBatch(whole.shown.cut(share), labels[share]) if recipe.augment.mixup else whole
    changes, dtype = recipe.augment, DTYPES[setup.precision]
    if not changes.mixup:
        pixels = augment(
            batch.images, changes, side, generator, dtype, share=share, batch=length, normalise=recipe.normalise
        )
        return TrainingBatch(Shown(in_layout(pixels, recipe), None, batch.metadata), labels)
    pixels = augment(batch.images, changes, side, generator, dtype, normalise=recipe.normalise)
    pixels, partner, own = mixup(pixels, changes.mixup, generator)
    labels = torch.lerp(labels[partner], labels, own[:, None])
    metadata = batch.metadata
    metadata = None if metadata is None else torch.lerp(metadata[partner], metadata, own[:, None])
    return TrainingBatch(Shown(in_layout(pixels, recipe), None, metadata).cut(share), labels[share])
