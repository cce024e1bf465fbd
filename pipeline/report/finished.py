"""A finished run as arrays: what every image model, member and the blend said of lesions they did not see.

Reads the run folder; computes nothing. Whether the run really is finished and up to date is checked first, so that a
report never mixes two recipes.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Task
from data.errors import DataError
from data.predictions import known_rows
from pipeline.columns import read_columns, stacked
from pipeline.display import Display
from pipeline.inputs import Inputs
from pipeline.plan import Plan, not_done, plan_of
from pipeline.recipe import Recipe
from pipeline.runtime import Runtime

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
SUBJECT = "blend"
"""The column that the report is about."""


@dataclass(frozen=True)
class FinishedRun:
    """The out-of-fold columns of a run, aligned to the training table."""

    inputs: Inputs
    runtime: Runtime
    plan: Plan
    image_columns: dict[str, Floats]
    """One per image model; with several classes, lesions x classes."""
    member_columns: dict[str, Floats]
    """One per booster of the recipe, without the blend."""
    blend: Floats

    @property
    def recipe(self) -> Recipe:
        """What was run."""
        return self.inputs.run.recipe

    @property
    def display(self) -> Display:
        """Where progress is shown."""
        return self.runtime.display

    @property
    def task(self) -> Task:
        """What was predicted."""
        return self.inputs.data.train.task

    @property
    def binary(self) -> bool:
        """Curves, groups and attributions are about one probability, that of the positive class."""
        return len(self.task.classes) == 2

    @cached_property
    def table(self) -> pl.DataFrame:
        """The training table as published."""
        return self.inputs.data.train.table

    @cached_property
    def ids(self) -> npt.NDArray[np.str_]:
        """Lesion ids."""
        return self.inputs.data.train.ids

    @cached_property
    def target(self) -> Ints:
        """Class of every lesion."""
        return self.inputs.data.train.target

    @cached_property
    def groups(self) -> npt.NDArray[np.str_]:
        """Patient of every lesion."""
        return self.inputs.data.train.groups

    @cached_property
    def fold(self) -> Ints:
        """Fold that held out each lesion."""
        return self.inputs.folds.fold.astype(np.int64)

    @property
    def columns(self) -> dict[str, Floats]:
        """Every column: image models, members, the blend."""
        return {**self.image_columns, **self.member_columns, SUBJECT: self.blend}

    @cached_property
    def known_rows(self) -> Ints:
        """Lesions that the blend has a probability for."""
        return known_rows(self.blend)

    def scored(self) -> tuple[Ints, Floats, npt.NDArray[np.str_]]:
        """Class, probability by the blend and patient of the lesions that have one."""
        rows = self.known_rows
        return self.target[rows], self.blend[rows], self.groups[rows]

    def called(self, rows: Ints) -> Ints | None:
        """The most probable class of some lesions; None with two classes, where everything is about one of them."""
        return None if self.binary else np.asarray(self.blend[rows].argmax(axis=1), dtype=np.int64)

    @property
    def seed(self) -> int:
        """Seed of everything random in the report."""
        return self.recipe.seed


def open_finished(inputs: Inputs, runtime: Runtime) -> FinishedRun:
    """Open a run, refusing one with work missing or stale."""
    run = inputs.run
    if not (run.folder / "tabular" / "oof.parquet").is_file():
        raise DataError(f"run {run.folder} has not finished stage two; run `fusionnetx submission` first")
    plan = plan_of(inputs)
    models = [*plan.fold_models, *plan.of("booster")]
    stale = not_done(models)
    if stale:
        step, reason = next(iter(stale.items()))
        raise DataError(
            f"run {run.folder} is not finished with its recipe and data: {len(stale)} of {len(models)} models are "
            f"missing or stale (first: {step.name}: {reason}); run `fusionnetx submission --run {run.folder}` first"
        )
    ids, recipe = inputs.data.train.ids, run.recipe
    stage_one = read_columns(run.folder / "oof" / "oof.parquet", ids) if recipe.image_models else {}
    stage_two = read_columns(run.folder / "tabular" / "oof.parquet", ids)
    return FinishedRun(
        inputs=inputs,
        runtime=runtime,
        plan=plan,
        image_columns={model.name: stacked(stage_one, model.name) for model in recipe.image_models},
        member_columns={member.name: stacked(stage_two, member.name) for member in recipe.tabular.members},
        blend=stacked(stage_two, SUBJECT),
    )
