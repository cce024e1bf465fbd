"""Stage two: engineer features, fit every member on every fold, blend the held-out probabilities.

One job is one (member, fold, seed). Encoders are fitted on the training part of each fold and stored as JSON beside
the models, so that new patients can be predicted without any training data.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort
from data.files import read_json, write_json
from data.matrix import Matrix
from data.predictions import Predictions
from features.encode import Encoder
from features.table import FeatureTable, build
from pipeline.run import Step
from pipeline.scoring import score_columns, shown
from pipeline.seeds import derive
from pipeline.stages.oof import write_table
from pipeline.workspace import Workspace
from tabular.blend import blend
from tabular.crossfit import fit_member, predict_member
from tabular.recipe import MemberRecipe

Floats = npt.NDArray[np.float64]


def run_tabular(space: Workspace) -> None:
    """Fit what is missing and write tabular/oof.parquet."""
    members = space.recipe.tabular.members
    jobs = [(member, fold, seed) for fold in range(space.folds.count) for member in members for seed in member.seeds]
    steps = {(member.name, fold, seed): member_step(space, member, fold, seed) for member, fold, seed in jobs}
    todo = [job for job in jobs if steps[job[0].name, job[1], job[2]].why()]
    done = len(jobs) - len(todo)
    if todo:
        space.display.say(f"stage two: {done} of {len(jobs)} boosters are done, {len(todo)} to fit")
        fit_all(space, todo, steps)
    else:
        space.display.say(f"stage two: all {len(jobs)} boosters are done")
    join_members(space)


def image_scores(space: Workspace, name: str) -> pl.DataFrame | None:
    """Out-of-fold (oof.parquet) or test (test.parquet) probabilities of stage one; None without image models."""
    if not space.recipe.image_models:
        return None
    return pl.read_parquet(space.run_dir / "oof" / name).drop("fold", strict=False)


def features_of(space: Workspace, cohort: Cohort, scores: pl.DataFrame | None, label: str) -> FeatureTable:
    """The engineered features of one table."""
    with space.display.task(f"features of {label}"):
        return build(cohort, space.recipe.features, scores)


def member_dir(space: Workspace, member: MemberRecipe, fold: int, seed: int) -> Path:
    """Where one booster lives."""
    return space.run_dir / "tabular" / member.name / f"fold_{fold}" / f"seed_{seed}"


def encoder_path(space: Workspace, fold: int) -> Path:
    """Where the encoder of one fold is stored."""
    return space.run_dir / "features" / f"fold_{fold}.json"


def member_step(space: Workspace, member: MemberRecipe, fold: int, seed: int) -> Step:
    """The job of one (member, fold, seed) and everything its result depends on."""
    recipe = space.recipe
    inputs = {"train table": space.data.train.fingerprint, "folds": space.folds_checksum}
    if recipe.image_models and member.image_columns:
        inputs["image scores"] = Step("out-of-fold table", space.run_dir / "oof", {}).checksum("oof.parquet")
    return Step(
        name=f"member {member.name}, fold {fold}, seed {seed}",
        folder=member_dir(space, member, fold, seed),
        settings={
            "member": member.model_dump(mode="json"),
            "features": recipe.features.model_dump(mode="json"),
            "resample": recipe.tabular.resample.model_dump(mode="json"),
            "image_noise": recipe.tabular.image_noise,
            "run_seed": recipe.seed,
        },
        inputs=inputs,
    )


def fit_all(space: Workspace, todo: list[tuple[MemberRecipe, int, int]], steps: dict[Any, Step]) -> None:
    """Fit boosters fold by fold, so that only one fold's matrix is in memory."""
    train = space.data.train
    table = features_of(space, train, image_scores(space, "oof.parquet"), f"{len(train.ids):,} lesions")
    _, groups = np.unique(train.groups, return_inverse=True)
    with space.display.task("stage two: boosters") as progress:
        position = 0
        for fold in sorted({fold for _, fold, _ in todo}):
            train_matrix, full_matrix = fold_matrices(space, table, fold)
            for member, _, seed in [job for job in todo if job[1] == fold]:
                step = steps[member.name, fold, seed]
                fit_one(space, member, fold, seed, step, train_matrix, full_matrix, groups.astype(np.int64))
                position += 1
                progress(position, len(todo))


def fold_matrices(space: Workspace, table: FeatureTable, fold: int) -> tuple[Matrix, Matrix]:
    """Fit the fold's encoder, store it, and encode: training rows (out-of-fold encodings), held-out rows."""
    train, rows = space.data.train, space.folds.train_rows(fold)
    encoder, train_matrix = Encoder.fit_transform(
        table,
        rows,
        train.target,
        space.recipe.features,
        groups=train.groups,
        seed=derive(space.recipe.seed, "encoder", fold),
    )
    write_json(encoder_path(space, fold), encoder.to_json())
    return train_matrix, encoder.transform(table.take(space.folds.validation_rows(fold)))


def fit_one(
    space: Workspace,
    member: MemberRecipe,
    fold: int,
    seed: int,
    step: Step,
    train_matrix: Matrix,
    held_out_matrix: Matrix,
    groups: npt.NDArray[np.int64],
) -> None:
    """Fit one booster on the fold's training part and predict its held-out lesions."""
    train, held_out = space.data.train, space.folds.validation_rows(fold)
    rows = space.folds.train_rows(fold)
    step.begin()
    report = fit_member(
        member,
        space.recipe.tabular,
        train_matrix,
        train.target[rows],
        groups[rows],
        np.arange(len(rows)),
        seed=derive(space.recipe.seed, member.name, fold, seed),
        folder=step.folder,
    )
    probability = predict_member(member, step.folder, held_out_matrix, np.arange(len(held_out)))
    columns = train.task.probability_columns
    Predictions(
        lesion_id=train.ids[held_out],
        fold=np.full(len(held_out), fold, dtype=np.int64),
        probabilities=probability.reshape(len(held_out), len(columns)),
        columns=columns,
    ).write(step.folder / "predictions.parquet")
    step.finish([*report.artefacts, "predictions.parquet"], fit=report.as_dict())


def member_columns(space: Workspace) -> dict[str, Floats]:
    """Out-of-fold probabilities of every member, mean over its seeds, in table order."""
    train, folds = space.data.train, space.folds
    width = len(train.task.probability_columns)
    columns: dict[str, Floats] = {}
    for member in space.recipe.tabular.members:
        column = np.full((len(train.ids), width), np.nan)
        for fold in range(folds.count):
            parts = [
                Predictions.read(
                    member_dir(space, member, fold, seed) / "predictions.parquet", columns=train.task.probability_columns
                ).probabilities
                for seed in member.seeds
            ]
            column[folds.validation_rows(fold)] = np.mean(parts, axis=0)
        columns[member.name] = column[:, 0] if width == 1 else column
    return columns


def join_members(space: Workspace) -> None:
    """Write tabular/oof.parquet with every member's column and the blend, and score them."""
    recipe, train, folds = space.recipe, space.data.train, space.folds
    inputs = {
        f"{member.name}, fold {fold}, seed {seed}": member_step(space, member, fold, seed).checksum("predictions.parquet")
        for member in recipe.tabular.members
        for fold in range(folds.count)
        for seed in member.seeds
    }
    step = Step(
        "blend", space.run_dir / "tabular", recipe.tabular.blend.model_dump(mode="json"), inputs,
    )  # fmt: skip
    if step.why() is None:
        return
    step.begin()
    columns = member_columns(space)
    state = blend(columns, recipe.tabular.blend, target=train.target, folds=folds.fold, groups=train.groups)
    columns["blend"] = state.out_of_fold
    write_json(step.folder / "blend.json", state.to_json())
    write_table(step.folder / "oof.parquet", train.ids, folds.fold, columns)
    with space.display.task("intervals by patient"):
        scores = score_columns(space, columns)
    step.finish(["oof.parquet", "blend.json"], scores=scores)
    for name, figures in scores.items():
        space.display.say(f"cross-validated, {name}: {train.task.score} {shown(figures, train.task.score)}")


def blend_report(space: Workspace) -> dict[str, Any]:
    """The report of the finished blend."""
    return dict(read_json(space.run_dir / "tabular" / "report.json"))
