"""Scratch runs of the audit: the same stages and the same code on data in memory, in a folder of their own.

Every scratch run computes from nothing, because a kept result would tell about the code that made it, not about the
code that is there now.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from data.cohort import DataFolder
from data.images.pack import ImagePack
from pipeline.audit.deal import Ints
from pipeline.audit.null_test import Experiment, Floats, Outcome
from pipeline.audit.variants import relabelled_by
from pipeline.columns import read_columns, stacked
from pipeline.display import Display
from pipeline.inputs import Inputs
from pipeline.make import make
from pipeline.plan import Plan
from pipeline.recipe import Recipe
from pipeline.run import Run
from pipeline.runtime import Runtime


class Quiet(Display):
    """A display that prints nothing and stops when the user asks the outer one to."""

    def __init__(self, outer: Display) -> None:
        super().__init__(Console(quiet=True, force_terminal=False))
        self.outer = outer

    def check_stop(self) -> None:
        """Ask the display that listens to the user."""
        self.outer.check_stop()


@dataclass(frozen=True)
class Finished:
    """A scratch run that has both stages behind it."""

    inputs: Inputs
    plan: Plan

    @property
    def runtime(self) -> Runtime:
        """Its surroundings."""
        return self.inputs.runtime


def scratch(
    inputs: Inputs, runtime: Runtime, folder: Path, recipe: Recipe, data: DataFolder, pack: ImagePack | None = None
) -> Inputs:
    """The inputs of a scratch run; without a `pack`, packed images are shared with every other run."""
    # Networks one after the other: their data, and leaks that are planted, are in this process alone.
    alone = recipe.resources.model_copy(update={"image_models_at_once": 1})
    run = inputs.run.derive(recipe=recipe.model_copy(update={"resources": alone}), folder=folder)
    return Inputs(run, runtime.shown_on(Quiet(runtime.display)), given=data, given_pack=pack)


def finished(inputs: Inputs) -> Finished:
    """A scratch run with both stages done; what is done is skipped."""
    return Finished(inputs, make(inputs, inputs.runtime, "tabular"))


def take_over_image_models(folder: Path, run: Run) -> None:
    """Copy trained networks from another run; their steps decide whether they still hold. Joined tables stay behind."""
    for model in run.recipe.image_models:
        shutil.copytree(folder / "oof" / model.name, run.folder / "oof" / model.name, dirs_exist_ok=True)


def outcome_of(run: Finished) -> Outcome:
    """Every out-of-fold column of both stages."""
    inputs, found = run.inputs, dict[str, Floats]()
    for stage in ("oof", "tabular"):
        path = inputs.run.folder / stage / "oof.parquet"
        if path.is_file():
            columns = read_columns(path, inputs.data.train.ids)
            found |= {model: stacked(columns, model) for model in (name.partition(":")[0] for name in columns)}
    return Outcome(np.arange(len(inputs.data.train.ids)), inputs.folds.fold, found)


def pipeline_experiment(inputs: Inputs, runtime: Runtime, folder: Path, recipe: Recipe, data: DataFolder) -> Experiment:
    """The whole pipeline as an experiment of the null test: both stages in `folder`, once per draw."""

    def experiment(giver: Ints, draw: int) -> Outcome:
        dealt = relabelled_by(data, giver)
        return outcome_of(finished(scratch(inputs, runtime, folder / f"draw_{draw}", recipe, dealt)))

    return experiment
