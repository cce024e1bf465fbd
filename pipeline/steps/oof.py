"""Stage one: train every image model on every fold, predict the lesions it did not see, join the columns."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from data.files import atomic
from data.predictions import assemble, mean_of
from data.tables.parquet import read_parquet
from pipeline.execute.running import run_all
from pipeline.run import Step
from pipeline.scoring import score_columns, shown
from pipeline.steps.fold_models import (
    FoldModel,
    named_columns,
    sees_images,
    stacked,
)  # fmt: skip
from pipeline.steps.image_jobs import shared_test_lesions, shared_training_lesions, test_job, training_job
from pipeline.steps.intervals import drawn_scores
from pipeline.workspace import Workspace


def run_oof(space: Workspace) -> None:
    """Train what is missing and write oof/oof.parquet and oof/test.parquet."""
    if not space.recipe.image_models:
        space.display.say("stage one: the recipe has no image models")
        return
    jobs = [*fold_models(space), *(pair_models(space) if space.recipe.tabular.nested else [])]
    todo = [(job, reason) for job in jobs if (reason := job.step.why())]
    if todo:
        space.display.say(
            f"stage one: {len(jobs) - len(todo)} of {len(jobs)} fold models are done, {len(todo)} to train"
        )
        for job, reason in todo:
            if reason != "not run yet":
                space.display.say(f"{job.title}: {reason}; trained again")
        shared_training_lesions(space)
        training = [training_job(job, f"[{i}/{len(todo)}]") for i, (job, _) in enumerate(todo, start=1)]
        run_all(space, training, "stage one")
    else:
        space.display.say(f"stage one: all {len(jobs)} fold models are done")
    predict_test(space)
    join(space)


def fold_models(space: Workspace) -> list[FoldModel]:
    """One job per model and fold."""
    return [
        FoldModel(space, model, (fold,)) for model in space.recipe.image_models for fold in range(space.folds.count)
    ]


def pair_models(space: Workspace) -> list[FoldModel]:
    """One job per model and pair of folds: what `tabular.nested` trains stage two on."""
    pairs = list(combinations(range(space.folds.count), 2))
    return [FoldModel(space, model, pair) for model in space.recipe.image_models for pair in pairs]


def has_test_images(space: Workspace) -> bool:
    """True when there are test lesions to predict, with images for the models that see them."""
    return space.data.test is not None and (space.data.test_images is not None or not sees_images(space))


def predict_test(space: Workspace) -> None:
    """Predict the test lesions with every fold model that has not done so."""
    if not has_test_images(space):
        return
    todo = [job for job in fold_models(space) if job.test_step.why()]
    if not todo:
        return
    shared_test_lesions(space)
    run_all(space, [test_job(job) for job in todo], "stage one: test lesions")


def join_step(space: Workspace) -> Step:
    """The joining of the columns and everything it depends on."""
    jobs = fold_models(space)
    inputs = {job.title: job.step.checksum("predictions.parquet") for job in jobs}
    if has_test_images(space):
        inputs |= {f"{job.title}, test": job.test_step.checksum("predictions.parquet") for job in jobs}
    models = [model.name for model in space.recipe.image_models]
    return Step("out-of-fold table", space.run_dir / "oof", {"models": models}, inputs)


def join(space: Workspace) -> None:
    """Write oof.parquet (each lesion once) and test.parquet (mean of the fold models); score the columns."""
    step = join_step(space)
    if step.why() is None:
        return
    models, folds, train = space.recipe.image_models, space.folds, space.data.train
    jobs = {name: [job for job in fold_models(space) if job.model.name == name] for name in (m.name for m in models)}
    step.begin()
    columns: dict[str, npt.NDArray[np.float64]] = {}
    tests: dict[str, npt.NDArray[np.float64]] = {}
    for name, of_model in jobs.items():
        columns |= named_columns(name, assemble([job.predictions() for job in of_model], train.ids, folds))
        if has_test_images(space):
            tests |= named_columns(name, mean_of([job.test_predictions() for job in of_model]))
    write_table(step.folder / "oof.parquet", train.ids, folds.fold, columns)
    artefacts = ["oof.parquet"]
    if tests:
        assert space.data.test is not None
        write_table(step.folder / "test.parquet", space.data.test.ids, None, tests)
        artefacts.append("test.parquet")
    drawn = drawn_scores(space, "oof/oof.parquet", jobs)
    scores = score_columns(space, {name: stacked(columns, name) for name in jobs}, drawn=drawn)
    step.finish(artefacts, scores=scores)
    for name, figures in scores.items():
        space.display.say(f"out of fold, {name}: {train.task.score} {shown(figures, train.task.score)}")


def nested_scores(space: Workspace, outer: int) -> pl.DataFrame:
    """Image scores for scoring fold `outer` without a trace of its labels.

    A training lesion of another fold gets the model that saw neither its own fold nor `outer`; the lesions of `outer`
    get their usual out-of-fold score.
    """
    columns: dict[str, npt.NDArray[np.float64]] = {}
    for model in space.recipe.image_models:
        parts = []
        for fold in range(space.folds.count):
            left_out = (outer,) if fold == outer else (min(fold, outer), max(fold, outer))
            predictions = FoldModel(space, model, left_out).predictions()
            own = predictions.fold == fold
            parts.append(
                type(predictions)(
                    predictions.lesion_id[own],
                    predictions.fold[own],
                    predictions.probabilities[own],
                    predictions.columns,
                )
            )
        columns |= named_columns(model.name, assemble(parts, space.data.train.ids, space.folds))
    frame = pl.DataFrame({"lesion_id": space.data.train.ids.tolist(), **columns})
    return frame.with_columns(pl.col(list(columns)).fill_nan(None))


def write_table(path: Path, ids: npt.NDArray[np.str_], fold: Any, columns: dict[str, Any]) -> None:
    """Write lesion_id, fold (of training lesions) and the probability columns; NaN becomes null."""
    frame = pl.DataFrame({"lesion_id": ids.tolist(), **({} if fold is None else {"fold": fold}), **columns})
    with atomic(path) as temporary:
        frame.with_columns(pl.col(list(columns)).fill_nan(None)).write_parquet(temporary)


def image_scores(space: Workspace, name: str) -> pl.DataFrame | None:
    """Stage one's columns from oof.parquet or test.parquet; None without image models."""
    if not space.recipe.image_models:
        return None
    frame, _ = read_parquet(space.run_dir / "oof" / name, "Run `fusionnetx oof` again.")
    return frame.drop("fold", strict=False)
