"""Which lesions an epoch shows, in which order and in which batches.

The draw of an epoch depends on (seed, epoch) alone: a resumed fit needs no sampler state but the step number, and the
rows of every epoch are known before the first one starts. Lesions without an image are never drawn.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data.errors import TrainingError
from image_models.recipe import ImageModelRecipe

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sampler:
    """The training lesions of one fit, and how often an epoch shows them."""

    always: Ints
    """Rows of every epoch, repeats included (the positives; or all rows when nothing is drawn)."""
    drawn_from: Ints
    """Rows (negatives) of which each epoch shows `drawn`, without repeating one before all others had their turn."""
    drawn: int
    batch_size: int
    accumulate: int
    smallest_batch: int
    """A last batch smaller than this is left out (batch normalisation cannot use a single image)."""
    seed: int

    @property
    def images_per_epoch(self) -> int:
        """Images shown in one epoch."""
        rows = len(self.always) + self.drawn
        remainder = rows % self.batch_size
        return rows - remainder if remainder < self.smallest_batch and rows > remainder else rows

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one epoch."""
        return -(-self.images_per_epoch // (self.batch_size * self.accumulate))

    def rows(self, epoch: int) -> Ints:
        """Rows of one epoch in the order shown."""
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, epoch]))
        rounds, rest = divmod(self.drawn, len(self.drawn_from)) if self.drawn else (0, 0)
        extra = rng.choice(self.drawn_from, rest, replace=False) if rest else self.drawn_from[:0]
        rows = np.concatenate([self.always, *[self.drawn_from] * rounds, extra])
        return rng.permutation(rows)[: self.images_per_epoch]

    def steps(self, epoch: int, first: int = 0) -> Iterator[list[Ints]]:
        """Batches of each optimiser step of an epoch, from step `first` on."""
        rows = self.rows(epoch)
        width = self.batch_size * self.accumulate
        for start in range(first * width, len(rows), width):
            step = rows[start : start + width]
            yield [step[i : i + self.batch_size] for i in range(0, len(step), self.batch_size)]

    def rows_of_fit(self, epochs: int) -> Ints:
        """Every row that the first `epochs` epochs may show, ascending, each once."""
        if self.drawn == 0 or self.drawn >= len(self.drawn_from):
            return np.unique(np.concatenate([self.always, self.drawn_from]))
        return np.unique(np.concatenate([self.rows(epoch) for epoch in range(epochs)]))

    def class_counts(self, labels: Ints, classes: int) -> Ints:
        """Images of each class that one epoch shows; `labels` is indexed by row."""
        counts = np.bincount(labels[self.always], minlength=classes)
        if self.drawn:
            share = np.bincount(labels[self.drawn_from], minlength=classes) / len(self.drawn_from)
            counts = counts + np.round(share * self.drawn).astype(np.int64)
        return counts


def make_sampler(
    recipe: ImageModelRecipe,
    labels: Ints,
    present: npt.NDArray[np.bool_],
    rows: Ints,
    *,
    classes: int,
    seed: int,
    smallest_batch: int = 1,
) -> Sampler:
    """Sampler over those of `rows` that have an image and a label (0 or more); `labels` and `present` are by row."""
    usable = rows[present[rows] & (labels[rows] >= 0)]
    found = np.unique(labels[usable])
    if len(found) < 2:
        what = f"only class {found[0]}" if len(found) else "no lesion with an image and a label"
        raise TrainingError(
            f"{what} among {len(rows)} training lesions ({int(present[rows].sum())} with an image): nothing to "
            "tell apart; check the images and targets, or use fewer folds"
        )
    always, drawn_from, drawn = usable, usable[:0], 0
    if classes == 2 and recipe.negatives_per_positive > 0:
        always = np.repeat(usable[labels[usable] == 1], recipe.positive_repeats)
        drawn_from = usable[labels[usable] == 0]
        drawn = max(1, round(len(always) * recipe.negatives_per_positive))
    return Sampler(
        always=always,
        drawn_from=drawn_from,
        drawn=drawn,
        batch_size=recipe.batch_size,
        accumulate=recipe.accumulate,
        smallest_batch=smallest_batch if recipe.batch_size >= smallest_batch else 1,
        seed=seed,
    )
