"""The feature tables of a run, and their encoding fold by fold with everything fitted on the training part alone."""

from pathlib import Path

import polars as pl

from data.cohort import Cohort
from data.files import fingerprint, write_json
from data.folds import Folds
from data.matrix import Matrix
from features.encode import Encoder
from features.table import FeatureTable, build
from pipeline.execute.files import data_inputs, run_name
from pipeline.run import Step
from pipeline.seeds import derive
from pipeline.steps.oof import fold_models, image_scores, nested_scores, pair_models
from pipeline.workspace import Workspace


def encoder_path(run_dir: Path, fold: int) -> Path:
    """Where the encoder of one fold is stored."""
    return run_dir / "features" / f"fold_{fold}" / "encoder.json"


def image_inputs(space: Workspace) -> dict[str, str]:
    """Checksums of the image columns that stage two trains on."""
    if not space.recipe.image_models:
        return {}
    inputs = {"image scores": Step("", space.run_dir / "oof", {}).checksum("oof.parquet")}
    if space.recipe.tabular.nested:
        inputs |= {job.title: job.step.checksum("predictions.parquet") for job in pair_models(space)}
    return inputs


def stage_two_inputs(space: Workspace) -> tuple[str, ...]:
    """Files that a job of stage two reads: the data, stage one's columns, and the parameters that tuning found."""
    pairs = pair_models(space) if space.recipe.tabular.nested else []
    columns = [fold.folder / "predictions.parquet" for fold in [*fold_models(space), *pairs]]
    oof = space.run_dir / "oof"
    paths = [oof / "oof.parquet", oof / "report.json", *columns, *(path.parent / "report.json" for path in columns)]
    searches = [
        space.run_dir / "tabular" / member.name / "tuning" / "tuning.json" for member in space.recipe.tabular.members
    ]
    return (*data_inputs(space), *(run_name(path, space) for path in [*paths, *searches]))


def features_of(space: Workspace, cohort: Cohort, scores: pl.DataFrame | None, label: str) -> FeatureTable:
    """The engineered features of one table."""
    with space.display.task(f"features of {label}") as progress:
        return build(cohort, space.recipe.features, scores, progress)


def training_features(space: Workspace, nested_fold: int | None = None) -> FeatureTable:
    """Features of the training table; for a nested fold, with image columns that its labels did not reach."""
    train = space.data.train
    if nested_fold is not None and space.recipe.image_models:
        scores: pl.DataFrame | None = nested_scores(space, nested_fold)
    else:
        scores = image_scores(space, "oof.parquet")
    return features_of(space, train, scores, f"{len(train.ids):,} lesions")


def encoded(space: Workspace, table: FeatureTable, folds: Folds, fold: int) -> tuple[Encoder, Matrix, Matrix]:
    """An encoder fitted on a fold's training part, and its training and held-out rows encoded."""
    train = space.data.train
    encoder, train_matrix = Encoder.fit_transform(
        table,
        folds.train_rows(fold),
        train.target,
        space.recipe.features,
        groups=train.groups,
        seed=derive(space.recipe.seed, "encoder", fold),
    )
    return encoder, train_matrix, encoder.transform(table, folds.validation_rows(fold))


def encoder_step(space: Workspace, fold: int) -> Step:
    """The fitting of one fold's encoder and everything its result depends on."""
    recipe = space.recipe
    return Step(
        name=f"encoder of fold {fold}",
        folder=encoder_path(space.run_dir, fold).parent,
        settings={
            "features": recipe.features.model_dump(mode="json"),
            "nested": recipe.tabular.nested,
            "run_seed": recipe.seed,
        },
        inputs={"train table": space.data.train.fingerprint, "folds": space.folds_checksum, **image_inputs(space)},
    )


def shared_features(space: Workspace, nested_fold: int | None = None) -> FeatureTable:
    """Features of the training table, made once for all jobs of this process."""
    key = fingerprint([image_inputs(space), nested_fold])
    return space.shared.get("features", key, lambda: training_features(space, nested_fold))


def shared_fold(space: Workspace, fold: int) -> tuple[Encoder, Matrix, Matrix]:
    """An encoded fold, made once for all its jobs in this process.

    The newest fold alone is kept; an older one is in memory as long as a job still works on it.
    """

    def make() -> tuple[Encoder, Matrix, Matrix]:
        table = shared_features(space, fold if space.recipe.tabular.nested else None)
        return encoded(space, table, space.folds, fold)

    return space.shared.get("fold", fingerprint([image_inputs(space), fold]), make)


def fit_encoder(space: Workspace, fold: int) -> None:
    """Do an encoder job: keep what was fitted on a fold's training part, for new patients."""
    step = encoder_step(space, fold)
    step.begin()
    encoder, train_matrix, _ = shared_fold(space, fold)
    write_json(encoder_path(space.run_dir, fold), encoder.to_json())
    step.finish(["encoder.json"], columns=len(train_matrix.names))
