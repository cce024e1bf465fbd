"""The feature tables of a run, and their encoding fold by fold with everything fitted on the training part alone."""

from pathlib import Path

import polars as pl

from data.cohort import Cohort
from data.files import write_json
from data.folds import Folds
from data.matrix import Matrix
from features.encode import Encoder
from features.table import FeatureTable, build
from pipeline.run import Step
from pipeline.seeds import derive
from pipeline.stages.oof import image_scores, nested_scores, pair_models
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


def store_and_encode(space: Workspace, table: FeatureTable, fold: int) -> tuple[Matrix, Matrix]:
    """Encode a fold of this run, and keep the encoder for new patients."""
    step = encoder_step(space, fold)
    step.begin()
    encoder, train_matrix, held_out_matrix = encoded(space, table, space.folds, fold)
    write_json(encoder_path(space.run_dir, fold), encoder.to_json())
    step.finish(["encoder.json"], columns=len(train_matrix.names))
    return train_matrix, held_out_matrix
