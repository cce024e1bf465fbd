"""A booster: one member of the ensemble on one fold, with one seed, and what it says of the fold's lesions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.predictions import Predictions
from pipeline.execute.running import boosters_at_once
from pipeline.facts import InputFacts
from pipeline.inputs import Inputs
from pipeline.run import Run
from pipeline.runtime import Runtime
from pipeline.seeds import derive
from pipeline.stage_two import PREDICTIONS, ImageColumns, shared_fold, trained_on
from pipeline.step import Need, Resources, Step, Work
from tabular.crossfit import fit_member, predict_member
from tabular.recipe import MemberRecipe

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FitBooster(Work):
    """Fit a member on the training part of a fold."""

    verb: ClassVar[str] = "tabular"
    stage: ClassVar[str] = "boosters"
    batch: ClassVar[str] = "stage two: boosters"
    things: ClassVar[str] = "boosters"
    undone: ClassVar[str] = "to fit"
    again: ClassVar[str] = "fitted again"

    member: MemberRecipe
    """With the parameters that a search found, where one was made."""
    fold: int
    seed: int
    images: ImageColumns

    @property
    def turn(self) -> tuple[Any, ...]:
        """Fold by fold; within a fold the slowest first: one that starts last would leave the other cores waiting."""
        return (self.fold, -self.member.learner.cost)

    def resources(self, inputs: Inputs, runtime: Runtime) -> Resources:
        """Threads, and a whole GPU where the library can use one: CatBoost takes nearly all of its memory."""
        wants_gpu = self.member.learner.gpu == "cuda" and self.member.device != "cpu"
        gpus = 1.0 if wants_gpu and runtime.executor.gpus(runtime) else 0.0
        return Resources(inputs.run.recipe.resources.booster_threads, gpus)

    @classmethod
    def at_once(cls, steps: Sequence[Step], inputs: Inputs, runtime: Runtime) -> int:
        """Boosters side by side, in threads of this process."""
        return boosters_at_once(inputs.run.recipe, runtime)

    def reads(self, inputs: Inputs) -> tuple[str, ...]:
        """The image columns: they are in the features that all members of a fold share, whatever this one looks at."""
        return self.images.files(inputs)

    def do(self, step: Step, inputs: Inputs, runtime: Runtime) -> None:
        """Fit on the fold's training part, predict its held-out lesions, report."""
        recipe, train, folds = inputs.run.recipe, inputs.data.train, inputs.folds
        threads = recipe.resources.booster_threads
        _, train_matrix, held_out_matrix = shared_fold(inputs, runtime, self.images, self.fold)
        _, patients = np.unique(train.groups, return_inverse=True)
        rows, held_out = folds.train_rows(self.fold), folds.validation_rows(self.fold)
        attempt = step.begin()
        fit = fit_member(
            self.member,
            recipe.tabular,
            train_matrix,
            train.target[rows],
            patients.astype(np.int64)[rows],
            np.flatnonzero(trained_on(train, recipe.tabular)[rows]),
            seed=derive(recipe.seed, self.member.name, self.fold, self.seed),
            folder=step.folder,
            threads=threads,
            classes=len(train.task.classes),
            library_seed=self.seed if recipe.tabular.seeds == "as_printed" else None,
        )
        for note in fit.notes:
            runtime.note_once(f"{self.member.name}: {note}")
        everyone = np.arange(len(held_out))
        probability = predict_member(self.member, step.folder, held_out_matrix, everyone, threads=threads)
        columns = train.task.probability_columns
        Predictions(
            lesion_id=train.ids[held_out],
            fold=np.full(len(held_out), self.fold, dtype=np.int64),
            probabilities=probability.reshape(len(held_out), len(columns)),
            columns=columns,
        ).write(step.folder / PREDICTIONS)
        attempt.finish([*fit.artefacts, PREDICTIONS], fit=fit.as_dict())


def booster_step(
    run: Run,
    facts: InputFacts,
    folds: Step,
    images: ImageColumns,
    member: MemberRecipe,
    fold: int,
    seed: int,
    waits_for: Step | None = None,
) -> Step:
    """A member on a fold, with one seed, and everything its result depends on."""
    recipe = run.recipe
    return Step(
        kind="booster",
        key=(member.name, fold, seed),
        name=f"member {member.name}, fold {fold}, seed {seed}",
        folder=run.folder / "tabular" / member.name / f"fold_{fold}" / f"seed_{seed}",
        work=FitBooster(member, fold, seed, images),
        settings={
            "member": member.model_dump(mode="json"),
            "features": recipe.features.model_dump(mode="json"),
            # Named where it does something, so that what was fitted before there was the key still holds.
            **({} if recipe.tabular.exclude == "none" else {"exclude": recipe.tabular.exclude}),
            **({} if recipe.tabular.seeds == "derived" else {"seeds": recipe.tabular.seeds}),
            "resample": recipe.tabular.resample.model_dump(mode="json"),
            "image_noise": recipe.tabular.image_noise,
            "nested": recipe.tabular.nested,
            "run_seed": recipe.seed,
        },
        needs=(
            Need("train table", facts.train_table),
            Need("folds", step=folds, artefacts=("folds.parquet",)),
            *(images.needs if member.image_columns else ()),
        ),
        waits_for=waits_for,
    )


def booster_of(step: Step) -> FitBooster:
    """The work of a booster's step."""
    assert isinstance(step.work, FitBooster)
    return step.work


def member_columns(steps: Sequence[Step], inputs: Inputs) -> dict[str, Floats]:
    """Out-of-fold probabilities of every member, mean over its seeds, in the order of the training table."""
    train, folds = inputs.data.train, inputs.folds
    width = len(train.task.probability_columns)
    columns: dict[str, Floats] = {}
    for name in dict.fromkeys(booster_of(step).member.name for step in steps):
        column = np.full((len(train.ids), width), np.nan)
        for fold in range(folds.count):
            rows = folds.validation_rows(fold)
            own = [step for step in steps if step.key[:2] == (name, fold)]
            column[rows] = np.mean([said_of(step, inputs, train.ids[rows]) for step in own], axis=0)
        columns[name] = column[:, 0] if width == 1 else column
    return columns


def said_of(step: Step, inputs: Inputs, ids: npt.NDArray[np.str_]) -> Floats:
    """What a booster said of its held-out lesions, one column per class; DataError when they are others."""
    path = step.folder / PREDICTIONS
    said = Predictions.read(path, inputs.data.train.task.probability_columns)
    if not np.array_equal(said.lesion_id, ids):
        raise DataError(
            f"{path} is about other lesions than those of fold {step.key[1]}; delete its folder, and "
            "`fusionnetx tabular` fits that booster again"
        )
    return said.probabilities
