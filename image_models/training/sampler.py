"""Which lesions an epoch shows, in which order and in which batches.

The draw of an epoch depends on (seed, epoch) alone: a resumed fit needs no sampler state but the step number, and the
rows of every epoch are known before the first one starts. Lesions without an image are never drawn.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data.errors import TrainingError
from image_models.lesions import Ints
from image_models.recipe import ImageModelRecipe


@dataclass(frozen=True)
class Sampler(ABC):
    """How the rows of a fit are drawn and cut into batches."""

    batch_size: int
    accumulate: int
    smallest_batch: int
    """A last batch smaller than this is left out (batch normalisation cannot use a single image)."""
    seed: int

    @property
    @abstractmethod
    def rows_drawn(self) -> int:
        """Rows drawn for one epoch."""

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> Ints:
        """Rows of one epoch, in any order."""

    @abstractmethod
    def rows_of_fit(self, epochs: int) -> Ints:
        """Every row that the first `epochs` epochs may show, ascending, each once."""

    @abstractmethod
    def class_counts(self, labels: Ints, classes: int) -> Ints:
        """Images of each class that one epoch shows; `labels` is indexed by row."""

    @property
    def images_per_epoch(self) -> int:
        """Images shown in one epoch."""
        rows = self.rows_drawn
        remainder = rows % self.batch_size
        return rows - remainder if remainder < self.smallest_batch and rows > remainder else rows

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one epoch."""
        return -(-self.images_per_epoch // (self.batch_size * self.accumulate))

    def rows(self, epoch: int) -> Ints:
        """Rows of one epoch in the order shown."""
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, epoch]))
        return rng.permutation(self.draw(rng))[: self.images_per_epoch]

    def steps(self, epoch: int, first: int = 0) -> Iterator[list[Ints]]:
        """Batches of each optimiser step of an epoch, from step `first` on."""
        rows = self.rows(epoch)
        width = self.batch_size * self.accumulate
        for start in range(first * width, len(rows), width):
            step = rows[start : start + width]
            yield [step[i : i + self.batch_size] for i in range(0, len(step), self.batch_size)]


@dataclass(frozen=True)
class RatioSampler(Sampler):
    """Some rows in every epoch, and a share of the others drawn anew."""

    always: Ints
    """Rows of every epoch, repeats included (the positives; or all rows when nothing is drawn)."""
    drawn_from: Ints
    """Rows (negatives) of which each epoch shows `drawn`, without repeating one before all others had their turn."""
    drawn: int

    @property
    def rows_drawn(self) -> int:
        """Rows drawn for one epoch."""
        return len(self.always) + self.drawn

    def draw(self, rng: np.random.Generator) -> Ints:
        """Rows of one epoch, in any order."""
        rounds, rest = divmod(self.drawn, len(self.drawn_from)) if self.drawn else (0, 0)
        extra = rng.choice(self.drawn_from, rest, replace=False) if rest else self.drawn_from[:0]
        return np.concatenate([self.always, *[self.drawn_from] * rounds, extra])

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


@dataclass(frozen=True)
class WeightedSampler(Sampler):
    """As many rows as there are, drawn with replacement, every class equally often but for the remainder."""

    by_class: tuple[Ints, ...]
    """Rows of each class that occurs."""

    @property
    def rows_drawn(self) -> int:
        """Rows drawn for one epoch."""
        return sum(len(rows) for rows in self.by_class)

    def draw(self, rng: np.random.Generator) -> Ints:
        """Rows of one epoch, in any order."""
        each, rest = divmod(self.rows_drawn, len(self.by_class))
        lucky = set(rng.permutation(len(self.by_class))[:rest].tolist())
        return np.concatenate([rng.choice(rows, each + (i in lucky)) for i, rows in enumerate(self.by_class)])

    def rows_of_fit(self, epochs: int) -> Ints:
        """Every row that the first `epochs` epochs may show, ascending, each once."""
        return np.unique(np.concatenate([self.rows(epoch) for epoch in range(epochs)]))

    def class_counts(self, labels: Ints, classes: int) -> Ints:
        """Images of each class that one epoch shows; `labels` is indexed by row."""
        counts = np.zeros(classes, dtype=np.int64)
        counts[[labels[rows[0]] for rows in self.by_class]] = self.rows_drawn // len(self.by_class)
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
    size, accumulate = recipe.batch_size, recipe.accumulate
    smallest = smallest_batch if size >= smallest_batch else 1
    if recipe.sampling == "weighted":
        by_class = tuple(usable[labels[usable] == code] for code in found)
        return WeightedSampler(size, accumulate, smallest, seed, by_class)
    if recipe.sampling == "all" or classes > 2 or recipe.negatives_per_positive == 0:
        return RatioSampler(size, accumulate, smallest, seed, usable, usable[:0], 0)
    positives = np.repeat(usable[labels[usable] == 1], recipe.positive_repeats)
    negatives = usable[labels[usable] == 0]
    drawn = max(1, round(len(positives) * recipe.negatives_per_positive))
    return RatioSampler(size, accumulate, smallest, seed, positives, negatives, drawn)
