"""What stage two trains on: features of the training lesions with image columns, and folds of them encoded.

Made once for all jobs of a process. Everything fitted on a fold is fitted on its training part alone.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort
from data.files import fingerprint
from data.folds import Folds
from data.matrix import Matrix
from data.predictions import Predictions, assemble
from data.relabel import biopsied_benign
from data.tables.parquet import read_parquet
from features.encode import Encoder
from features.recipe import FeatureRecipe
from features.table import FeatureTable, build
from pipeline.columns import named, table_of
from pipeline.display import Display
from pipeline.execute.files import run_file
from pipeline.inputs import Inputs
from pipeline.runtime import Runtime
from pipeline.seeds import derive
from pipeline.step import Need, Step
from tabular.recipe import TabularRecipe

PREDICTIONS = "predictions.parquet"
"""What a model said of the lesions that it did not see, in the folder of its step."""


@dataclass(frozen=True)
class ImageColumns:
    """The steps that stage two's image columns come from; all empty for a recipe without image models."""

    table: Step | None = None
    """The out-of-fold table."""
    models: tuple[Step, ...] = ()
    """Fold models that left out one fold."""
    pairs: tuple[Step, ...] = ()
    """Those that left out two, where `tabular.nested` asks for them."""

    @property
    def needs(self) -> tuple[Need, ...]:
        """What a step that trains on the columns depends on."""
        if self.table is None:
            return ()
        pairs = (
            Need(pair.name.removeprefix("image model "), step=pair, artefacts=(PREDICTIONS,)) for pair in self.pairs
        )
        return (Need("image scores", step=self.table, artefacts=("oof.parquet",)), *pairs)

    @property
    def key(self) -> dict[str, str]:
        """Checksums of the columns."""
        return dict(found for need in self.needs for found in need.checksums())

    def files(self, inputs: Inputs) -> tuple[str, ...]:
        """Their files, for a worker that must fetch them."""
        return tuple(run_file(path, inputs) for need in self.needs for path in need.files())

    def nested(self, fold: int) -> int | None:
        """The fold that the columns must not know when it is scored, where they are made for each fold."""
        return fold if self.pairs else None


def features_of(
    recipe: FeatureRecipe, display: Display, cohort: Cohort, scores: pl.DataFrame | None, label: str
) -> FeatureTable:
    """The engineered features of one table."""
    with display.task(f"features of {label}") as progress:
        return build(cohort, recipe, scores, progress)


def image_scores(inputs: Inputs, name: str) -> pl.DataFrame | None:
    """Stage one's columns from oof.parquet or test.parquet; None without image models."""
    if not inputs.run.recipe.image_models:
        return None
    frame, _ = read_parquet(inputs.run.folder / "oof" / name, "Run `fusionnetx oof` again.")
    return frame.drop("fold", strict=False)


def nested_scores(inputs: Inputs, images: ImageColumns, outer: int) -> pl.DataFrame:
    """Image scores for scoring fold `outer` without a trace of its labels.

    A training lesion of another fold gets the model that saw neither its own fold nor `outer`; the lesions of `outer`
    get their usual out-of-fold score.
    """
    folds, ids, task = inputs.folds, inputs.data.train.ids, inputs.data.train.task
    steps = {step.key: step for step in (*images.models, *images.pairs)}
    columns: dict[str, npt.NDArray[np.float64]] = {}
    for model in inputs.run.recipe.image_models:
        parts = []
        for fold in range(folds.count):
            left_out = (outer,) if fold == outer else (min(fold, outer), max(fold, outer))
            path = steps[model.name, *left_out].folder / PREDICTIONS
            said = Predictions.read(path, task.probability_columns)
            own = said.fold == fold
            parts.append(Predictions(said.lesion_id[own], said.fold[own], said.probabilities[own], said.columns))
        columns |= named(model.name, assemble(parts, ids, folds))
    return table_of(ids, columns)


def training_features(
    inputs: Inputs, runtime: Runtime, images: ImageColumns, nested_fold: int | None = None
) -> FeatureTable:
    """Features of the training table; for a nested fold, with image columns that its labels did not reach."""
    train = inputs.data.train
    if nested_fold is not None:
        scores: pl.DataFrame | None = nested_scores(inputs, images, nested_fold)
    else:
        scores = image_scores(inputs, "oof.parquet")
    return features_of(inputs.run.recipe.features, runtime.display, train, scores, f"{len(train.ids):,} lesions")


def encoded(
    inputs: Inputs, table: FeatureTable, folds: Folds, fold: int, outer: int | None = None
) -> tuple[Encoder, Matrix, Matrix]:
    """An encoder fitted on a fold's training part, and its training and held-out rows encoded.

    Of an inner fold, the lesions of the `outer` one are no training lesions.
    """
    train, recipe = inputs.data.train, inputs.run.recipe
    encoder, train_matrix = Encoder.fit_transform(
        table,
        train_rows(folds, fold, outer),
        train.target,
        recipe.features,
        groups=train.groups,
        seed=derive(recipe.seed, "encoder", fold),
    )
    return encoder, train_matrix, encoder.transform(table, folds.validation_rows(fold))


def train_rows(folds: Folds, fold: int, outer: int | None = None) -> npt.NDArray[np.int64]:
    """Rows that a model of a fold may learn from; of an inner fold, none of the `outer` one."""
    rows = folds.train_rows(fold)
    return rows if outer is None else np.setdiff1d(rows, folds.validation_rows(outer))


def trained_on(train: Cohort, recipe: TabularRecipe) -> npt.NDArray[np.bool_]:
    """Lesions that members may train on, where a fold leaves them among its training rows; all of them are scored."""
    if recipe.exclude == "none":
        return np.ones(len(train.ids), dtype=np.bool_)
    return ~biopsied_benign(train)


def shared_features(
    inputs: Inputs, runtime: Runtime, images: ImageColumns, nested_fold: int | None = None
) -> FeatureTable:
    """Features of the training table, made once for all jobs of this process."""
    key = fingerprint([images.key, nested_fold])
    return runtime.shared.get("features", key, lambda: training_features(inputs, runtime, images, nested_fold))


def shared_fold(inputs: Inputs, runtime: Runtime, images: ImageColumns, fold: int) -> tuple[Encoder, Matrix, Matrix]:
    """An encoded fold, made once for all its jobs in this process.

    The newest fold alone is kept; an older one is in memory as long as a job still works on it.
    """

    def make() -> tuple[Encoder, Matrix, Matrix]:
        table = shared_features(inputs, runtime, images, images.nested(fold))
        return encoded(inputs, table, inputs.folds, fold)

    return runtime.shared.get("fold", fingerprint([images.key, fold]), make)
