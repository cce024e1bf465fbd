"""What a member trains on: its columns, its rows, its parameters. Shared by cross-fitting and tuning.

Everything here reads `train_rows` alone; that the fold to be predicted stays unseen follows from that. Training
itself is for the learners.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data.errors import RecipeError, TrainingError
from data.inner_split import inner_split
from data.matrix import Matrix
from tabular.learners.learner import Rows, Settings, Values
from tabular.learners.search_space import Value
from tabular.recipe import MemberRecipe, ResampleRecipe, TabularRecipe

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class View:
    """The part of a matrix that one member sees."""

    columns: Ints
    """Indices into the matrix."""
    names: tuple[str, ...]
    categorical: tuple[int, ...]
    """Positions among `columns` that the member takes as categories."""
    noisy: Ints
    """Positions among `columns` that come from images and are numbers: these take the recipe's noise."""


def view_of(member: MemberRecipe, matrix: Matrix) -> View:
    """Select a member's columns."""
    image = np.asarray(matrix.image, dtype=np.int64)
    columns = (
        np.arange(len(matrix.names)) if member.image_columns else np.setdiff1d(np.arange(len(matrix.names)), image)
    )
    if not len(columns):
        raise TrainingError(f"member {member.name} has no column to learn from; give it features or image columns")
    is_category = np.isin(columns, np.asarray(matrix.categorical, dtype=np.int64))
    return View(
        columns=columns,
        names=tuple(matrix.names[i] for i in columns),
        categorical=tuple(np.flatnonzero(is_category).tolist()) if member.native_categories else (),
        noisy=np.flatnonzero(np.isin(columns, image) & ~is_category),
    )


@dataclass(frozen=True)
class Part:
    """The rows of one model."""

    rows: Ints
    """Resampled training rows."""
    watched: Ints | None
    """With early stopping: rows of other training patients, as they are in nature."""
    bag: int


def training_parts(
    member: MemberRecipe,
    recipe: TabularRecipe,
    target: Ints,
    groups: npt.ArrayLike,
    train_rows: npt.ArrayLike,
    seed: int,
) -> tuple[list[Part], list[str]]:
    """Set patients aside to watch (with early stopping), resample the others; a part per bag, and notes."""
    rows, watched = np.asarray(train_rows, dtype=np.int64), None
    if member.early_stopping:
        kept, inner = inner_split(np.asarray(groups)[rows], target[rows], member.inner_share, derived(seed, 0))
        watched, rows = rows[inner], rows[kept]
        if len(np.unique(target[watched])) < 2:
            raise TrainingError(
                f"member {member.name} cannot stop early: that takes positives of at least two training patients; "
                "set early_stopping = 0"
            )
    drawn = resample(target, rows, recipe.resample, derived(seed, 1))
    return [Part(bag, watched, number) for number, bag in enumerate(drawn.bags)], list(drawn.notes)


def gather_part(
    view: View, matrix: Matrix, target: Ints, part: Part, recipe: TabularRecipe, settings: Settings, noise_seed: int
) -> tuple[Rows, Rows | None]:
    """The rows that a model trains on and, with early stopping, those it watches, which are left as they are."""
    rows = gather(view, matrix, target, part.rows, recipe, classes=settings.classes, noise_seed=noise_seed)
    if part.watched is None:
        return rows, None
    return rows, gather(view, matrix, target, part.watched, recipe, classes=settings.classes)


def gather(
    view: View,
    matrix: Matrix,
    target: Ints,
    rows: Ints,
    recipe: TabularRecipe,
    *,
    classes: int = 2,
    noise_seed: int | None = None,
) -> Rows:
    """Copy rows out of the matrix, with noise on image columns when a seed for it is given (training rows only)."""
    values, label = take(matrix.values, rows, view.columns), target[rows]
    if recipe.image_noise and noise_seed is not None:
        for position, stream in zip(view.noisy, np.random.SeedSequence(noise_seed).spawn(len(view.noisy)), strict=True):
            column = values[:, position]
            known = column[~np.isnan(column)]
            spread = float(known.std()) if len(known) else 0.0
            column += np.random.default_rng(stream).normal(0.0, recipe.image_noise * spread, len(rows))
    return Rows(
        values=values,
        target=label,
        names=view.names,
        categorical=view.categorical,
        weight=class_weights(label, classes) if recipe.resample.method == "class_weights" else None,
    )


def take(values: Values, rows: Ints, columns: Ints) -> Values:
    """Some rows and columns as a new C-ordered array, in one copy."""
    if np.array_equal(columns, np.arange(values.shape[1])):
        return values[rows]
    return np.ascontiguousarray(values[np.ix_(rows, columns)])


def effective_parameters(
    member: MemberRecipe, recipe: TabularRecipe, classes: int
) -> tuple[dict[str, Value], list[str]]:
    """The member's parameters where they make sense, and a sentence on each that does not."""
    parameters = dict(member.parameters)
    notes = member.learner.without_effect(parameters)
    if "scale_pos_weight" in parameters and classes > 2:
        del parameters["scale_pos_weight"]
        notes.append(f"scale_pos_weight is for two classes and was left out with {classes}")
    elif "scale_pos_weight" in parameters and recipe.resample.method == "class_weights":
        del parameters["scale_pos_weight"]
        notes.append("scale_pos_weight was left out because class weights already balance the classes")
    return parameters, notes


def derived(seed: int, *keys: int) -> int:
    """A 31-bit seed for a part of a job.

    The keys go in as a spawn key, because as entropy a trailing 0 would be the same as no key.
    """
    return int(np.random.SeedSequence(seed, spawn_key=keys).generate_state(1)[0] >> 1)


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
