"""What a fold's training will show: for each fit its labels, its rows by epoch and its number of steps.

Known in full before training starts, so a dry run can print it. Labels of rows outside the training rows are blanked
here, hence nothing behind this point can learn from them.
"""

from dataclasses import dataclass

import numpy as np

from data.errors import TrainingError
from data.inner_split import inner_split
from image_models.lesions import UNKNOWN, Ints, Lesions
from image_models.recipe import ImageModelRecipe
from image_models.training.inner_score import checked_score
from image_models.training.sampler import Sampler, make_sampler
from image_models.training.schedule import describe


def derived_seed(seed: int, *names: int) -> int:
    """Seed of one random stream of a fold."""
    return int(np.random.SeedSequence([seed, *names]).generate_state(1, np.uint64)[0])


STREAM_START, STREAM_INNER, STREAM_ROWS, STREAM_STEP = range(4)
"""First name of each random stream: initial weights, inner split, rows by epoch, everything random in a step."""


@dataclass(frozen=True)
class FitPlan:
    """One fit: a warm-up and a schedule of its own, starting from the weights that are there."""

    number: int
    """1, or 2 for the second fit of `relabelled_then_target`."""
    labels: Ints
    """By row; UNKNOWN for every row that is not a training row."""
    sampler: Sampler
    epochs: int

    @property
    def total_steps(self) -> int:
        """Optimiser steps of the fit."""
        return self.epochs * self.sampler.steps_per_epoch


@dataclass(frozen=True)
class TrainingPlan:
    """All fits of one fold, and the rows on which epochs are compared."""

    fits: tuple[FitPlan, ...]
    inner_rows: Ints | None
    """Rows of the inner split (training patients kept out of the fits); None when the last epoch is kept."""
    inner_left_out: int = 0
    """Rows that a protocol names for the inner split and that have no image or no known target."""

    @property
    def total_steps(self) -> int:
        """Optimiser steps of the fold."""
        return sum(fit.total_steps for fit in self.fits)


def plan_training(
    recipe: ImageModelRecipe,
    lesions: Lesions,
    train_rows: Ints,
    seed: int,
    *,
    smallest_batch: int = 1,
    inner_rows: Ints | None = None,
) -> TrainingPlan:
    """Lay out the fits of one fold; `smallest_batch` is 2 for networks that cannot learn from a single image.

    `inner_rows` compares epochs in place of an inner split, where a protocol says which rows do.
    """
    rows, left_out = train_rows, 0
    if recipe.select == "best":
        checked_score(recipe, lesions.classes)
        if inner_rows is None:
            rows, inner_rows = _split_off_inner_rows(recipe, lesions, train_rows, derived_seed(seed, STREAM_INNER))
        else:
            named, inner_rows = inner_rows, _usable_inner_rows(recipe, lesions, inner_rows)
            left_out = len(named) - len(inner_rows)
    else:
        inner_rows = None
    target, relabelled = lesions.target, lesions.training_label
    wanted = {
        "target": [(target, recipe.epochs)],
        "relabelled": [(relabelled, recipe.epochs)],
        "relabelled_then_target": [(relabelled, recipe.epochs), (target, recipe.second_fit_epochs)],
    }[recipe.labels]
    fits = []
    for number, (source, epochs) in enumerate(wanted, start=1):
        labels = np.full(len(lesions), UNKNOWN, dtype=np.int64)
        labels[rows] = source[rows]
        sampler = make_sampler(
            recipe,
            labels,
            lesions.present,
            rows,
            classes=lesions.classes,
            seed=derived_seed(seed, STREAM_ROWS, number),
            smallest_batch=smallest_batch,
        )
        fits.append(FitPlan(number, labels, sampler, epochs))
    return TrainingPlan(tuple(fit for fit in fits if fit.epochs), inner_rows, left_out)


def describe_plan(recipe: ImageModelRecipe, plan: TrainingPlan) -> list[str]:
    """The plan in words, for a dry run."""
    lines = []
    for fit in plan.fits:
        sampler = fit.sampler
        lines.append(
            f"fit {fit.number}: {fit.epochs} epochs x {sampler.images_per_epoch:,} images in batches of "
            f"{recipe.batch_size} x {recipe.accumulate} = {fit.total_steps:,} steps"
        )
        lines += [f"  {line}" for line in describe(fit.total_steps, recipe)]
    if plan.inner_rows is not None:
        without = f"; {plan.inner_left_out:,} more cannot be scored" if plan.inner_left_out else ""
        lines.append(f"best epoch by {recipe.select_by} on {len(plan.inner_rows):,} lesions of an inner split{without}")
        if recipe.stop_after:
            lines.append(f"a fit ends before its last epoch once {recipe.stop_after} in a row bring no better score")
    if recipe.frozen:
        lines.append("image vectors computed once, before the first step; no augmentation")
    return lines


def _usable_inner_rows(recipe: ImageModelRecipe, lesions: Lesions, named: Ints) -> Ints:
    """Those of the rows named for comparing epochs that a network can be scored on."""
    usable: Ints = named[lesions.present[named] & (lesions.target[named] != UNKNOWN)]
    if len(np.unique(lesions.target[usable])) < lesions.classes:
        raise TrainingError(
            f"image model {recipe.name}: {len(usable)} of {len(named)} lesions named for comparing epochs have an "
            "image and a target, and these lack a class; name others, or use select = 'last'"
        )
    return usable


def _split_off_inner_rows(recipe: ImageModelRecipe, lesions: Lesions, rows: Ints, seed: int) -> tuple[Ints, Ints]:
    """Divide training rows into those to learn from and those to compare epochs on, by patient."""
    known = rows[lesions.present[rows] & (lesions.target[rows] != UNKNOWN)]
    try:
        learn, inner = inner_split(lesions.group[known], lesions.target[known], recipe.inner_share, seed)
    except ValueError as error:
        raise TrainingError(f"no inner split for select = 'best': {error}; use select = 'last'") from error
    for name, part in (("inner", inner), ("training", learn)):
        if len(np.unique(lesions.target[known[part]])) < lesions.classes:
            raise TrainingError(
                f"the {name} part of the inner split lacks a class ({len(part)} of {len(known)} lesions): too few "
                f"patients with it; change inner_share (now {recipe.inner_share}) or use select = 'last'"
            )
    return known[learn], known[inner]
