"""Learning rate by optimiser step: linear warm-up, then a cosine down to a minimum, or steps down on a plateau.

A closed form of the step number and of the inner scores so far, so that a resumed fit needs no scheduler state.

How Table 1's "T_max 500 steps" meets the length of a fit: with positives and negatives 1:1 and batches of 32, one fold
of ISIC 2024 has about 314 positives, hence 20 steps an epoch and 600 in 30 epochs; warm-up takes 30 of them, the
cosine ends at step 530 and the last 70 steps run at the minimum. The relabelled set has about 850 positives per fold
and 1,600 steps, so the same T_max ends the cosine after a third of the fit. `after_cosine = "hold"` then stays at the
minimum, `"cycle"` climbs back to the full rate over the next T_max steps and down again, which is what PyTorch's
`CosineAnnealingLR` does when stepped past T_max, and `cosine_steps = 0` stretches one cosine over the whole fit.
"""

import math
from collections.abc import Sequence

from image_models.keys.training import ScheduleRecipe


def warmup_steps(total_steps: int, recipe: ScheduleRecipe) -> int:
    """Steps of the linear warm-up; at least one step is left to the cosine."""
    return min(round(recipe.warmup_ratio * total_steps), total_steps - 1)


def cosine_steps(total_steps: int, recipe: ScheduleRecipe) -> int:
    """Steps from the full rate down to the minimum (T_max)."""
    return recipe.cosine_steps or total_steps - warmup_steps(total_steps, recipe)


def learning_rate(step: int, total_steps: int, recipe: ScheduleRecipe, scores: Sequence[float] = ()) -> float:
    """Rate of optimiser step `step`, counted from 0; `scores` are the inner scores of the epochs before it."""
    warmup = warmup_steps(total_steps, recipe)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / (warmup + 1)
    if recipe.schedule == "constant":
        return recipe.learning_rate
    if recipe.schedule == "plateau":
        lowered = recipe.learning_rate * recipe.plateau_factor ** reductions(scores, recipe.plateau_patience)
        return max(lowered, recipe.minimum_learning_rate)
    t_max = cosine_steps(total_steps, recipe)
    position = step - warmup
    if recipe.after_cosine == "hold":
        position = min(position, t_max)
    low, high = recipe.minimum_learning_rate, recipe.learning_rate
    return low + (high - low) * (1 + math.cos(math.pi * position / t_max)) / 2


def reductions(scores: Sequence[float], patience: int) -> int:
    """How often a plateau lowered the rate: each time more than `patience` epochs in a row brought no better score.

    As PyTorch's `ReduceLROnPlateau` with a threshold of 0: counting starts again after each reduction.
    """
    count = waited = 0
    best = -math.inf
    for score in scores:
        waited = 0 if score > best else waited + 1
        best = max(best, score)
        if waited > patience:
            count, waited = count + 1, 0
    return count


def epochs_without_gain(scores: Sequence[float]) -> int:
    """Epochs since the best score, the first of equals counting as the best."""
    return len(scores) - 1 - scores.index(max(scores)) if scores else 0


def describe(total_steps: int, recipe: ScheduleRecipe) -> list[str]:
    """The schedule in words, one line per stretch, for a dry run."""
    warmup, last = warmup_steps(total_steps, recipe), total_steps - 1
    lines = []
    if warmup:
        lines.append(f"steps 0-{warmup - 1}: warm-up, {rate_at(0, total_steps, recipe)} to {recipe.learning_rate:.3g}")
    if recipe.schedule == "constant":
        return [*lines, f"steps {warmup}-{last}: constant at {recipe.learning_rate:.3g}"]
    if recipe.schedule == "plateau":
        return [
            *lines,
            f"steps {warmup}-{last}: {recipe.learning_rate:.3g}, times {recipe.plateau_factor:g} whenever more than "
            f"{recipe.plateau_patience} epochs in a row bring no better inner score, never below "
            f"{recipe.minimum_learning_rate:.3g}; the steps at which that happens depend on the scores",
        ]
    bottom = warmup + cosine_steps(total_steps, recipe)
    end = min(bottom, last)
    lines.append(f"steps {warmup}-{end}: cosine, {recipe.learning_rate:.3g} to {rate_at(end, total_steps, recipe)}")
    if bottom < last and recipe.after_cosine == "hold":
        lines.append(f"steps {bottom + 1}-{last}: held at {recipe.minimum_learning_rate:.3g}")
    elif bottom < last:
        lines.append(
            f"steps {bottom + 1}-{last}: up and down again every {bottom - warmup} steps, "
            f"ending at {rate_at(last, total_steps, recipe)}"
        )
    return lines


def rate_at(step: int, total_steps: int, recipe: ScheduleRecipe) -> str:
    """A rate as printed."""
    return f"{learning_rate(step, total_steps, recipe):.3g}"
