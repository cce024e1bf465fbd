"""The table that a lesion stands in, and what the run said of everyone in it without having seen their answers.

A training lesion is explained by the models of its own fold, which did not see it; any other lesion by those of all
folds.
"""

import dataclasses
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort
from data.errors import DataError
from data.images.sources import ImageSource
from data.recipe import read_test
from data.synthetic.stand_in import is_invented
from features.table import FeatureTable
from pipeline.actions.predict import finished_plan, warn_of_invented
from pipeline.columns import read_columns, stacked
from pipeline.decision import Decision, decision_of
from pipeline.inputs import Inputs
from pipeline.new_images import image_columns
from pipeline.plan import Plan
from pipeline.report.finished import SUBJECT, FinishedRun, Floats, Ints, open_finished
from pipeline.run import Run
from pipeline.runtime import Runtime
from pipeline.stage_two import features_of, image_scores, training_features
from pipeline.steps.calibration import TABLE


@dataclass(frozen=True)
class Population:
    """Lesions of one table, and the finished run that is asked about them."""

    plan: Plan
    runtime: Runtime
    kind: Literal["training", "test", "new"]
    cohort: Cohort
    images: ImageSource | None
    scores: pl.DataFrame | None
    """Stage one's columns of every lesion; None without image models."""
    invented: bool
    """Whether these lesions are; whether those that the models learned from are, the run says."""
    finished: FinishedRun | None = None
    """Of training lesions: the out-of-fold columns."""

    @cached_property
    def ids(self) -> npt.NDArray[np.str_]:
        """Lesion ids in the order of the table."""
        return self.cohort.ids

    def folds_of(self, row: int) -> tuple[int, ...]:
        """Folds whose models did not see the lesion."""
        if self.finished is not None:
            return (int(self.finished.fold[row]),)
        return tuple(range(self.plan.stage_two.folds))

    def features(self, fold: int) -> FeatureTable:
        """The features that the boosters of a fold are shown."""
        images = self.plan.images
        if self.finished is not None and images.pairs:
            return training_features(self.finished.inputs, self.runtime, images, fold)
        return self._features

    @cached_property
    def _features(self) -> FeatureTable:
        recipe, label = self.plan.run.recipe.features, f"{len(self.ids):,} lesions"
        return features_of(recipe, self.runtime.display, self.cohort, self.scores, label)

    def patient_rows(self, row: int) -> Ints:
        """The lesions of the same patient, this one included."""
        groups = self.cohort.groups
        return np.flatnonzero(groups == groups[row]).astype(np.int64)

    def probability(self, rows: Ints, blend: Floats) -> Floats:
        """What the blend's score of some lesions is worth; of training lesions, as said without their fold."""
        if self.finished is None:
            return self.decision.calibrator.apply(blend)
        stored = read_columns(self.plan["calibration",].folder / TABLE, self.ids)
        return np.asarray(stacked(stored, SUBJECT)[rows])

    @cached_property
    def decision(self) -> Decision:
        """How scores become answers."""
        return decision_of(self.plan.run)

    def said(self, rows: Ints) -> dict[str, Floats]:
        """What image models, boosters and blend say of some lesions; one column each, or one per class."""
        if self.finished is not None:
            return {name: column[rows] for name, column in self.finished.columns.items()}
        columns: dict[str, Floats] = {}
        if self.scores is not None:
            part = {
                name: self.scores[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()[rows]
                for name in self.scores.columns
                if name != "lesion_id"
            }
            columns = {model.name: stacked(part, model.name) for model in self.plan.run.recipe.image_models}
        table = dataclasses.replace(self._features, frame=self._features.frame[rows])
        with self.runtime.display.task("stage two") as progress:
            return columns | self.plan.stage_two.predict(table, self.runtime.threads, progress)


def known_populations(inputs: Inputs, runtime: Runtime) -> list[Population]:
    """The training and test lesions of a finished run."""
    finished = open_finished(inputs, runtime)
    plan, data, invented = finished.plan, inputs.data, inputs.run.invented
    scores = image_scores(inputs, "oof.parquet")
    found = [Population(plan, runtime, "training", data.train, data.train_images, scores, invented, finished)]
    if data.test is not None and ((inputs.run.folder / "oof" / "test.parquet").is_file() or scores is None):
        scores = image_scores(inputs, "test.parquet")
        found.append(Population(plan, runtime, "test", data.test, data.test_images, scores, invented))
    return found


def new_population(run: Run, runtime: Runtime, metadata_path: Path, images_path: Path | None) -> Population:
    """Lesions of another table, as `fusionnetx predict` takes them; the run's data are not needed."""
    recipe, finished = run.recipe, finished_plan(run)
    cohort, source, notes = read_test(recipe.data, metadata_path, images_path)
    for note in notes:
        runtime.display.warn(note)
    warn_of_invented(run, runtime, metadata_path)
    asked = recipe.image_models
    scores = image_columns(finished.fold_models, recipe.data, runtime, cohort, source) if asked else None
    return Population(finished, runtime, "new", cohort, source, scores, is_invented(metadata_path.parent))


def find(populations: Sequence[Population], lesion: str) -> tuple[Population, int]:
    """The table and row of a lesion; DataError with the nearest ids when there is none."""
    for population in populations:
        rows = np.flatnonzero(population.ids == lesion)
        if len(rows):
            return population, int(rows[0])
    every = np.concatenate([population.ids for population in populations]).tolist()
    near = difflib.get_close_matches(lesion, every, n=3, cutoff=0.5) or every[:3]
    kinds = " and ".join(f"{len(one.ids):,} {one.kind}" for one in populations)
    raise DataError(f"no lesion {lesion!r} among the {kinds} lesions; nearest: {', '.join(near)}")


def class_probability(column: Floats, towards: int) -> Floats:
    """The probability of one class; of two classes there is one column, that of the second."""
    if column.ndim == 2:
        return column[:, towards]
    return column if towards == 1 else 1.0 - column


def truth(population: Population, row: int) -> str | None:
    """The diagnosis, where it is known."""
    if not population.cohort.labelled:
        return None
    return population.cohort.task.classes[int(population.cohort.target[row])]
