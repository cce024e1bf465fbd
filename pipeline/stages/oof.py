"""Stage one: train every image model on every fold, predict the lesions it did not see, join the columns.

One job is one (model, fold): weights, predictions of the held-out lesions, report. A second, smaller job per
fold predicts the test lesions, so that another test table never trains anything again.
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from data.errors import TrainingError
from data.files import atomic
from data.predictions import Predictions, assemble, mean_of
from data.relabel import relabelled
from image_models.recipe import ImageModelRecipe
from pipeline.run import Step
from pipeline.scoring import score_columns
from pipeline.seeds import derive
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from image_models.lesions import Lesions

NOT_IN_FINGERPRINT = ("checkpoint_seconds", "resident")
"""Keys that change speed or safety, never the result."""


def run_oof(space: Workspace) -> None:
    """Train what is missing and write oof/oof.parquet and oof/test.parquet."""
    models = space.recipe.image_models
    if not models:
        space.display.say("stage one: the recipe has no image models")
        return
    jobs = [(model, fold) for model in models for fold in range(space.folds.count)]
    steps = {(model.name, fold): fold_step(space, model, fold) for model, fold in jobs}
    todo = [(model, fold) for model, fold in jobs if steps[model.name, fold].why()]
    if todo:
        space.display.say(f"stage one: {len(jobs) - len(todo)} of {len(jobs)} fold models are done, {len(todo)} to train")
        lesions = training_lesions(space)
        for position, (model, fold) in enumerate(todo, start=1):
            train_one(space, lesions, model, fold, steps[model.name, fold], f"[{position}/{len(todo)}]")
            space.display.check_stop()
    else:
        space.display.say(f"stage one: all {len(jobs)} fold models are done")
    predict_test(space)
    join(space)


def fold_dir(space: Workspace, model: ImageModelRecipe, fold: int) -> Path:
    """Where one fold model lives."""
    return space.run_dir / "oof" / model.name / f"fold_{fold}"


def fold_step(space: Workspace, model: ImageModelRecipe, fold: int) -> Step:
    """The job of one (model, fold) and everything its result depends on."""
    data = space.data
    settings = {key: value for key, value in dataclasses.asdict(model).items() if key not in NOT_IN_FINGERPRINT}
    return Step(
        name=f"image model {model.name}, fold {fold}",
        folder=fold_dir(space, model, fold),
        settings={**settings, "run_seed": space.recipe.seed, "pack_size": space.recipe.data.image_size},
        inputs={
            "train table": data.train.fingerprint,
            "train images": space.pack_fingerprint(data.train_images, list(data.train.ids)),
            "folds": space.folds_checksum,
        },
    )


def training_lesions(space: Workspace) -> "Lesions":
    """The training cohort as the arrays that networks take."""
    from image_models.lesions import Lesions

    train, pack = space.data.train, space.train_pack
    needs_relabelling = any(model.labels != "target" for model in space.recipe.image_models)
    _, group = np.unique(train.groups, return_inverse=True)
    return Lesions(
        images=pack.images,
        present=pack.present,
        target=train.target,
        training_label=relabelled(train) if needs_relabelling else train.target,
        group=group.astype(np.int64),
        classes=len(train.task.classes),
        ids=train.ids,
    )


def train_one(
    space: Workspace, lesions: "Lesions", model: ImageModelRecipe, fold: int, step: Step, position: str
) -> None:
    """Train one fold model (going on from its last state if there is one) and predict its held-out lesions."""
    from image_models.predict import load_model, predict
    from image_models.train import train_fold

    reason = step.why()
    if reason != "not run yet":
        space.display.say(f"{step.name}: {reason}; trained again")
    step.begin()
    held_out = space.folds.validation_rows(fold)
    label = f"{position} {model.name}, fold {fold}"
    try:
        with space.display.task(f"{label}: training") as progress:
            training = train_fold(
                model,
                lesions,
                space.folds.train_rows(fold),
                folder=step.folder,
                seed=derive(space.recipe.seed, model.name, fold),
                fingerprint=step.fingerprint,
                weights_dir=space.weights_dir,
                progress=progress,
            )
        network = load_model(step.folder / "model.safetensors", model, lesions.classes)
        with space.display.task(f"{label}: predicting {len(held_out):,} lesions") as progress:
            probability = predict(network, model, lesions, held_out, progress=progress)
    except TrainingError as error:
        raise TrainingError(f"{step.name}: {error}") from error
    task = space.data.train.task
    predictions = Predictions(
        lesion_id=lesions.ids[held_out],
        fold=np.full(len(held_out), fold, dtype=np.int64),
        probabilities=probability,
        columns=task.probability_columns,
    )
    predictions.write(step.folder / "predictions.parquet")
    scores = score_columns(space, {"fold": probability}, rows=held_out, replicates=0)["fold"]
    step.finish(
        ["model.safetensors", "predictions.parquet"], training=training.as_dict(), seconds=training.seconds, scores=scores
    )
    (main,) = [scores[name] for name in scores if name == task.score]
    space.display.say(f"{label}: {task.score} {main['estimate']:.4f}, {training.seconds:.1f} s, {training.images_per_second:,.0f} images/s")


def test_step(space: Workspace, model: ImageModelRecipe, fold: int) -> Step:
    """The job that predicts the test lesions with one fold model."""
    data = space.data
    assert data.test is not None
    assert data.test_images is not None
    return Step(
        name=f"image model {model.name}, fold {fold}, test lesions",
        folder=fold_dir(space, model, fold) / "test",
        settings={"test_time": model.test_time, "precision": model.precision},
        inputs={
            "test images": space.pack_fingerprint(data.test_images, list(data.test.ids)),
            "model": fold_step(space, model, fold).checksum("model.safetensors"),
        },
    )


def predict_test(space: Workspace) -> None:
    """Predict the test lesions with every fold model that has not done so."""
    if space.data.test is None or space.data.test_images is None:
        return
    jobs = [(model, fold) for model in space.recipe.image_models for fold in range(space.folds.count)]
    todo = [(model, fold, test_step(space, model, fold)) for model, fold in jobs]
    todo = [(model, fold, step) for model, fold, step in todo if step.why()]
    if not todo:
        return
    from image_models.lesions import Lesions
    from image_models.predict import load_model, predict

    test = space.data.test
    lesions = unlabelled(test.ids, space.test_pack.images, space.test_pack.present, len(test.task.classes))
    everyone = np.arange(len(test.ids))
    for model, fold, step in todo:
        step.begin()
        network = load_model(fold_dir(space, model, fold) / "model.safetensors", model, lesions.classes)
        with space.display.task(f"{model.name}, fold {fold}: predicting {len(everyone):,} test lesions") as progress:
            probability = predict(network, model, lesions, everyone, progress=progress)
        Predictions(
            lesion_id=test.ids,
            fold=np.full(len(everyone), -1, dtype=np.int64),
            probabilities=probability,
            columns=test.task.probability_columns,
        ).write(step.folder / "predictions.parquet")
        step.finish(["predictions.parquet"])
    assert isinstance(lesions, Lesions)


def unlabelled(ids: Any, images: Any, present: Any, classes: int) -> "Lesions":
    """Lesions whose answer is not known, as the arrays that networks take."""
    from image_models.lesions import Lesions

    unknown = np.full(len(ids), -1, dtype=np.int64)
    return Lesions(
        images=images, present=present, target=unknown, training_label=unknown, group=unknown, classes=classes, ids=ids
    )


def join(space: Workspace) -> None:
    """Write oof.parquet (each lesion exactly once) and test.parquet (mean of the fold models), and score the columns."""
    models, folds, train = space.recipe.image_models, space.folds, space.data.train
    task = train.task
    inputs = {
        f"{model.name}, fold {fold}": fold_step(space, model, fold).checksum("predictions.parquet")
        for model in models
        for fold in range(folds.count)
    }
    if space.data.test is not None and space.data.test_images is not None:
        inputs |= {
            f"{model.name}, fold {fold}, test": test_step(space, model, fold).checksum("predictions.parquet")
            for model in models
            for fold in range(folds.count)
        }
    step = Step("out-of-fold table", space.run_dir / "oof", {"models": [model.name for model in models]}, inputs)
    if step.why() is None:
        return
    step.begin()
    columns: dict[str, Any] = {}
    tests: dict[str, Any] = {}
    for model in models:
        parts = [
            Predictions.read(fold_dir(space, model, fold) / "predictions.parquet", columns=task.probability_columns)
            for fold in range(folds.count)
        ]
        columns |= named_columns(model.name, assemble(parts, train.ids, folds))
        if space.data.test is not None and space.data.test_images is not None:
            parts = [
                Predictions.read(fold_dir(space, model, fold) / "test" / "predictions.parquet", columns=task.probability_columns)
                for fold in range(folds.count)
            ]
            tests |= named_columns(model.name, mean_of(parts))
    write_table(step.folder / "oof.parquet", train.ids, folds.fold, columns)
    artefacts = ["oof.parquet"]
    if tests and space.data.test is not None:
        write_table(step.folder / "test.parquet", space.data.test.ids, None, tests)
        artefacts.append("test.parquet")
    scores = score_columns(space, {model.name: stacked(columns, model.name) for model in models})
    step.finish(artefacts, scores=scores)
    for name, figures in scores.items():
        main = figures[task.score]
        space.display.say(f"out of fold, {name}: {task.score} {main['estimate']:.4f} ({main['low']:.4f} to {main['high']:.4f})")


def named_columns(model: str, predictions: Predictions) -> dict[str, Any]:
    """One column called after the model when binary, else one per class called `model:class`."""
    if len(predictions.columns) == 1:
        return {model: predictions.probabilities[:, 0]}
    return {f"{model}:{name}": predictions.probabilities[:, i] for i, name in enumerate(predictions.columns)}


def stacked(columns: dict[str, Any], model: str) -> Any:
    """The probabilities of one model: 1-D when binary, else lesions x classes."""
    if model in columns:
        return columns[model]
    return np.column_stack([column for name, column in columns.items() if name.startswith(f"{model}:")])


def write_table(path: Path, ids: Any, fold: Any, columns: dict[str, Any]) -> None:
    """Write lesion_id, fold (of training lesions) and the probability columns; NaN becomes null."""
    frame = pl.DataFrame({"lesion_id": ids, **({} if fold is None else {"fold": fold}), **columns})
    with atomic(path) as temporary:
        frame.with_columns(pl.col(list(columns)).fill_nan(None)).write_parquet(temporary)
