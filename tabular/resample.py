"""Which training rows a booster sees, and how often: imbalanced-learn's random over- and undersampling on row indices.

Only indices are resampled; the feature matrix is gathered once, afterwards. Rows that are not given here (the fold to
be predicted, the inner split) cannot appear in the result.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data.errors import RecipeError, TrainingError
from tabular.recipe import ResampleRecipe

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Resampled:
    """The rows to train on."""

    bags: tuple[Ints, ...]
    """Row indices with repeats; one model is trained per bag."""
    notes: tuple[str, ...] = ()
    """What could not be done as asked, in sentences for the report."""


def resample(target: npt.ArrayLike, rows: npt.ArrayLike, recipe: ResampleRecipe, seed: int) -> Resampled:
    """Draw training rows from `rows` (indices into `target`), oversampling before undersampling as the paper does."""
    chosen = np.asarray(rows, dtype=np.int64)
    label = np.asarray(target)[chosen]
    counts = np.bincount(label, minlength=2)
    if np.count_nonzero(counts) < 2:
        raise TrainingError(
            f"the {len(chosen)} training rows hold a single class, so nothing can be learned; check the target "
            "column and the folds"
        )
    if recipe.method in ("none", "class_weights"):
        return Resampled((chosen,))
    if len(counts) > 2:
        raise RecipeError(
            f"tabular.resample.method = {recipe.method!r} aims at a ratio of two classes, and the task has "
            f"{len(counts)}; use 'none' or 'class_weights'"
        )
    if recipe.method == "under_bags":
        draws = [
            _drawn("undersampled", chosen, label, recipe.under_ratio, seed_of) for seed_of in _seeds(seed, recipe.bags)
        ]
        return Resampled(tuple(rows_of for rows_of, _ in draws), tuple(dict.fromkeys(n for _, ns in draws for n in ns)))
    over, under = _seeds(seed, 2)
    more, notes_over = _drawn("oversampled", chosen, label, recipe.over_ratio, over)
    fewer, notes_under = _drawn("undersampled", more, np.asarray(target)[more], recipe.under_ratio, under)
    return Resampled((fewer,), (*notes_over, *notes_under))


def class_weights(label: npt.ArrayLike, classes: int) -> npt.NDArray[np.float64]:
    """A weight per row that makes every class that is there weigh the same in total, and the rows one on average."""
    labels = np.asarray(label)
    counts = np.bincount(labels, minlength=classes)
    weights: npt.NDArray[np.float64] = (len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1)))[labels]
    return weights


def _drawn(done: str, rows: Ints, label: Ints, ratio: float, seed: int) -> tuple[Ints, tuple[str, ...]]:
    """The rows drawn towards a ratio, or as they are with a note, where they are beyond it."""
    there = float(np.count_nonzero(label == 1) / np.count_nonzero(label == 0))
    if there >= ratio:
        return rows, (f"not {done} to {ratio:g} positives per negative: there are {there:.4g}",)
    from imblearn.over_sampling import RandomOverSampler
    from imblearn.under_sampling import RandomUnderSampler

    sampler = RandomOverSampler if done == "oversampled" else RandomUnderSampler
    drawn, _ = sampler(sampling_strategy=ratio, random_state=seed).fit_resample(rows.reshape(-1, 1), label)
    return np.asarray(drawn, dtype=np.int64).ravel(), ()


def _seeds(seed: int, count: int) -> list[int]:
    return [int(state) for state in np.random.SeedSequence(seed).generate_state(count) >> 1]
