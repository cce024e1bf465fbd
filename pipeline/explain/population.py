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
from features.table import FeatureTable
from pipeline.new_images import image_columns
from pipeline.predicting import fold_count, predict_members
from pipeline.report.finished import FinishedRun, open_finished
from pipeline.steps.features import features_of, training_features
from pipeline.steps.fold_models import stacked
from pipeline.steps.oof import image_scores
from pipeline.steps.predict import refuse_unfinished
from pipeline.workspace import Workspace

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Population:
    """Lesions of one table."""

    space: Workspace
    kind: Literal["training", "test", "new"]
    cohort: Cohort
    images: ImageSource | None
    scores: pl.DataFrame | None
    """Stage one's columns of every lesion; None without image models."""
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
        return tuple(range(fold_count(self.space)))

    def features(self, fold: int) -> FeatureTable:
        """The features that the boosters of a fold are shown."""
        if self.kind == "training" and self.space.recipe.tabular.nested and self.scores is not None:
            return training_features(self.space, fold)
        return self._features

    @cached_property
    def _features(self) -> FeatureTable:
        return features_of(self.space, self.cohort, self.scores, f"{len(self.ids):,} lesions")

    def patient_rows(self, row: int) -> Ints:
        """The lesions of the same patient, this one included."""
        groups = self.cohort.groups
        return np.flatnonzero(groups == groups[row]).astype(np.int64)

    def said(self, rows: Ints) -> dict[str, Floats]:
        """What image models, boosters and blend say of some lesions; one column each, or one per class."""
        columns: dict[str, Floats] = {}
        if self.finished is not None:
            run = self.finished
            found = {**run.image_columns, **run.member_columns, "blend": run.blend}
            return {name: column[rows] for name, column in found.items()}
        if self.scores is not None:
            part = {
                name: self.scores[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()[rows]
                for name in self.scores.columns
                if name != "lesion_id"
            }
            columns = {model.name: stacked(part, model.name) for model in self.space.recipe.image_models}
        table = dataclasses.replace(self._features, frame=self._features.frame[rows])
        with self.space.display.task("stage two") as progress:
            return columns | predict_members(self.space, table, progress)


def known_populations(space: Workspace) -> list[Population]:
    """The training and test lesions of a finished run."""
    run = open_finished(space)
    data = space.data
    found = [Population(space, "training", data.train, data.train_images, image_scores(space, "oof.parquet"), run)]
    if data.test is not None:
        scored = (space.run_dir / "oof" / "test.parquet").is_file() or not space.recipe.image_models
        if scored:
            scores = image_scores(space, "test.parquet")
            found.append(Population(space, "test", data.test, data.test_images, scores))
    return found


def new_population(space: Workspace, metadata_path: Path, images_path: Path | None) -> Population:
    """Lesions of another table, as `fusionnetx predict` takes them; the run's data are not needed."""
    cohort, source, notes = read_test(space.recipe.data, metadata_path, images_path)
    for note in notes:
        space.display.warn(note)
    folds = fold_count(space)
    refuse_unfinished(space, folds)
    scores = image_columns(space, cohort, source, folds) if space.recipe.image_models else None
    return Population(space, "new", cohort, source, scores)


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
