"""A whole recipe against its data before any long work: every part is tried on a small scale, nothing is written.

What would stop a run after hours (a column that is not there, a backbone that does not exist, folds that cannot be
made, a disk that is too small) is found here in seconds.
"""

import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from data.errors import FusionNetXError, TrainingError
from data.folds import Folds, make_folds
from data.images.pack import usable_cores
from data.own.columns import columns_of_cohort
from data.own.leaks import GIVEAWAY_AUC, giveaways
from data.tables.near import did_you_mean
from features.columns import KNOWN
from features.encode import Encoder
from features.table import FeatureTable, build
from pipeline.actions import check_networks
from pipeline.actions.check_networks import Found
from pipeline.actions.machine import Machine, this_machine
from pipeline.columns import flat, table_of
from pipeline.inputs import Inputs
from pipeline.plan import plan_of
from pipeline.runtime import Runtime
from pipeline.steps.lesions import training_lesions
from pipeline.too_long import refuse_years
from tabular.learners.learner import Rows, Settings
from tabular.training_data import effective_parameters

FLOAT_BYTES = 4
TABLE_COPIES = 3
"""Of the features in memory at a time: the table, a matrix of it, and a booster's own."""
TELLING_NAMES = 5


@dataclass
class Look:
    """A recipe and its data while they are looked at; what several checks need is made once."""

    inputs: Inputs
    runtime: Runtime
    usual_px: int | None
    """Median of the longer side of the images."""

    @cached_property
    def machine(self) -> Machine:
        """What there is to work with."""
        return this_machine(usable_cores())

    @cached_property
    def folds(self) -> Folds:
        """The folds that would be made."""
        return make_folds(self.inputs.data.train, self.inputs.run.recipe.folds)

    @cached_property
    def features(self) -> FeatureTable:
        """The features of the training table, image scores being missing."""
        data, recipe = self.inputs.data, self.inputs.run.recipe
        return build(data.train, recipe.features, self.no_scores(data.train.ids))

    def no_scores(self, ids: npt.NDArray[np.str_]) -> pl.DataFrame | None:
        """The columns that stage one will make, without a value."""
        recipe, task = self.inputs.run.recipe, self.inputs.data.train.task
        if not recipe.image_models:
            return None
        width = len(task.probability_columns)
        empty = np.full(len(ids) if width == 1 else (len(ids), width), np.nan)
        columns = flat({model.name: empty for model in recipe.image_models}, task.classes)
        return table_of(ids, columns)


def look_at_recipe(inputs: Inputs, runtime: Runtime, usual_px: int | None) -> list[Found]:
    """Everything that is found; one part that cannot be used does not hide the others."""
    look = Look(inputs, runtime, usual_px)
    parts = [part for part in PARTS if inputs.given is not None or part not in NEED_DATA]
    return list(dict.fromkeys(found for part in parts for found in tried(part, look)))


def tried(part: Callable[[Look], Iterator[Found]], look: Look) -> list[Found]:
    """What one part finds; the user's mistake that stops it is a finding, too."""
    found: list[Found] = []
    try:
        found.extend(part(look))
    except FusionNetXError as error:
        found.append(Found("error", str(error)))
    return found


def networks(look: Look) -> Iterator[Found]:
    """Backbones, heads, weights, sizes."""
    recipe = look.inputs.run.recipe
    for model in recipe.image_models:
        # Each by itself: a message about one does not hide the next.
        yield from tried(lambda _, model=model: check_networks.networks((model,)), look)  # type: ignore[misc]
        yield from tried(lambda _, model=model: check_networks.weights((model,), look.runtime.weights_dir), look)  # type: ignore[misc]
    yield from check_networks.image_sizes(recipe.image_models, recipe.data.image_size, look.usual_px)


def folds(look: Look) -> Iterator[Found]:
    """Whether the folds can be made."""
    summary, task = look.folds.summary(), look.inputs.data.train.task
    positives = summary["positives"].to_list()
    low, high = min(positives), max(positives)
    each = f"{low}" if low == high else f"{low} to {high}"
    yield Found(
        "fact", f"{look.folds.count} folds of {len(look.folds.fold):,} {task.row_noun}s, each with {each} positive ones"
    )


def told_columns(look: Look) -> Iterator[Found]:
    """Columns and labels that networks are given."""
    recipe = look.inputs.run.recipe
    if recipe.image_models:
        training_lesions(look.inputs, images=False)
    yield from ()


def feature_columns(look: Look) -> Iterator[Found]:
    """That the features can be made and encoded, of the training and the test table."""
    data, recipe = look.inputs.data, look.inputs.run.recipe
    present = {*data.train.table.columns, *KNOWN}
    for key in ("unused_columns", "compared_columns"):
        for name in getattr(recipe.features, key):
            if name not in present:
                guess = did_you_mean(name, data.train.table.columns)
                yield Found("warning", f"features.{key}: the data have no column {name!r}{guess}")
    table = look.features
    rows = np.arange(len(data.train.ids))
    encoder = Encoder.fit(table, rows, data.train.target, recipe.features)
    yield Found("fact", f"{len(table.features):,} features, {len(encoder.columns()):,} columns for the boosters")
    if data.test is not None:
        test = build(data.test, recipe.features, look.no_scores(data.test.ids))
        encoder.refuse_other_features(test)


def telling_columns(look: Look) -> Iterator[Found]:
    """Features of a table of one's own that give the answer away."""
    train, recipe = look.inputs.data.train, look.inputs.run.recipe
    if recipe.data.reader != "folder":
        return
    used = set(recipe.features.extra_columns)
    columns = [column for column in columns_of_cohort(train) if column.name in used and column.usable]
    found = [one for one in giveaways(train.table, columns, train.target) if one.auc >= GIVEAWAY_AUC]
    for one in found[:TELLING_NAMES]:
        yield Found("warning", f"{one}: if it is known only with the diagnosis, name it in data.folder.forbidden")


def boosters(look: Look) -> Iterator[Found]:
    """What stage two would refuse of two classes or more."""
    classes, tabular = len(look.inputs.data.train.task.classes), look.inputs.run.recipe.tabular
    if classes > 2 and tabular.resample.method not in ("none", "class_weights"):
        yield Found(
            "error",
            f"tabular.resample.method = {tabular.resample.method!r} aims at a ratio of two classes, and the task has "
            f"{classes}; use 'none' or 'class_weights'",
        )
    if classes > 2 and tabular.blend.method != "mean":
        method = tabular.blend.method
        yield Found("error", f"tabular.blend.method = {method!r} is for two classes, not {classes}; use 'mean'")


def members(look: Look) -> Iterator[Found]:
    """What the library of a member refuses: it trains one round on a few numbers that mean nothing."""
    classes = len(look.inputs.data.train.task.classes)
    values = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    rows = Rows(values, np.arange(200) % classes, ("a", "b", "c", "d"))
    for member in look.inputs.run.recipe.tabular.members:
        parameters, _ = effective_parameters(member, look.inputs.run.recipe.tabular, classes)
        settings = Settings(parameters, 1, classes)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # one round comes to no end
                member.learner.fit(member.learner.bin(rows, settings), settings)
        except TrainingError as error:
            yield Found("error", f"member {member.name}: {error}")


def memory_and_disk(look: Look) -> Iterator[Found]:
    """What a run takes, against what is free."""
    data, recipe = look.inputs.data, look.inputs.run.recipe
    yield from check_networks.memory(recipe.image_models, len(data.train.task.classes), look.machine)
    lesions = len(data.train.ids) + (0 if data.test is None else len(data.test.ids))
    table = FLOAT_BYTES * lesions * len(look.features.features) * TABLE_COPIES
    if table > look.machine.memory_bytes:
        yield Found("warning", f"the features take about {table / 2**30:.1f} GB of memory, and less is free")
    packed = 3 * recipe.data.image_size**2 * lesions if recipe.sees_images else 0
    free = shutil.disk_usage(existing(look.runtime.cache_dir)).free
    if packed > free:
        yield Found(
            "error",
            f"packed images take {packed / 1e9:,.1f} GB in {look.runtime.cache_dir}, and {free / 1e9:,.1f} GB are "
            "free; set FUSIONNETX_CACHE to a folder on a larger disk",
        )
    elif packed:
        yield Found("fact", f"disk: {packed / 1e6:,.0f} MB of packed images, of {free / 1e9:,.0f} GB that are free")


def seconds(look: Look) -> Iterator[Found]:
    """How long stage one will take."""
    from image_models.training.plan import plan_training

    recipe = look.inputs.run.recipe
    refuse_years(plan_of(look.inputs), look.inputs, look.runtime)
    if not recipe.sees_images:
        return
    lesions, count = training_lesions(look.inputs, images=False), look.folds.count
    shown = {}
    for model in recipe.image_models:
        if model.trains_on_vectors:
            continue
        # Plans of the folds differ by a few rows; the first stands for all.
        plan = plan_training(model, lesions, look.folds.train_rows(0), 0)
        shown[model.name] = count * plan.total_steps * model.batch_size * model.accumulate
    test = look.inputs.data.test
    predicted = len(lesions.ids) + (0 if test is None else count * len(test.ids))
    yield from check_networks.seconds(recipe.image_models, shown, predicted, look.machine)


def later_verbs(look: Look) -> Iterator[Found]:
    """What the verbs after training will have to say."""
    if look.inputs.data.test is None:
        yield Found("fact", "no test part: `fusionnetx submission` ends with the cross-validated score")


def existing(path: Path) -> Path:
    """The nearest folder above that is there."""
    whole = path.resolve()
    return next(folder for folder in (whole, *whole.parents) if folder.exists())


NEED_DATA = (
    folds,
    told_columns,
    feature_columns,
    telling_columns,
    boosters,
    members,
    memory_and_disk,
    seconds,
    later_verbs,
)
PARTS = (networks, *NEED_DATA)
