"""A fold model: an image model trained without some folds, and what it says of the lesions that it did not see.

Leaving out one fold gives the out-of-fold columns; leaving out two gives the columns that stage two trains on when
`tabular.nested` asks that no label of the scored fold reaches them. A second, smaller step predicts the test lesions,
so that another test table never trains anything again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from data.errors import DataError, TrainingError
from data.folds import Folds
from data.predictions import Predictions
from image_models.recipe import ImageModelRecipe, deciding_settings
from pipeline.execute.side_by_side import image_model_resources, image_models_at_once
from pipeline.facts import InputFacts, finished_fold_count
from pipeline.inputs import Inputs
from pipeline.run import Run
from pipeline.runtime import Runtime
from pipeline.scoring import score_columns
from pipeline.seeds import derive
from pipeline.stage_two import PREDICTIONS
from pipeline.step import Need, Resources, Step, Work
from pipeline.steps.lesions import shared_training_lesions
from pipeline.steps.metadata import artefacts, fit_metadata, with_stored_metadata

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class FoldModel(Work):
    """The training of an image model on all folds but some."""

    verb: ClassVar[str] = "oof"
    stage: ClassVar[str] = "image models"
    batch: ClassVar[str] = "stage one"
    things: ClassVar[str] = "fold models"
    undone: ClassVar[str] = "to train"
    again: ClassVar[str] = "trained again"

    model: ImageModelRecipe
    left_out: tuple[int, ...]
    run_seed: int
    pack_size: int

    @property
    def name(self) -> str:
        """`fold_3`, or `folds_1_3` when two are left out."""
        return ("fold_" if len(self.left_out) == 1 else "folds_") + "_".join(map(str, self.left_out))

    @property
    def title(self) -> str:
        """How messages name it."""
        return f"{self.model.name}, {self.name.replace('_', ' ')}"

    @property
    def seed(self) -> int:
        """Its own seed, whatever the order of jobs."""
        return derive(self.run_seed, self.model.name, self.name)

    @property
    def settings(self) -> dict[str, Any]:
        """Everything of the recipe that decides its result."""
        return {**deciding_settings(self.model), "run_seed": self.run_seed, "pack_size": self.pack_size}

    def held_out(self, folds: Folds) -> npt.NDArray[np.int64]:
        """Rows it must not see."""
        return np.flatnonzero(np.isin(folds.fold, self.left_out)).astype(np.int64)

    def train_rows(self, folds: Folds) -> npt.NDArray[np.int64]:
        """Rows it learns from."""
        return np.flatnonzero(~np.isin(folds.fold, self.left_out)).astype(np.int64)

    def resources(self, inputs: Inputs, runtime: Runtime) -> Resources:
        """Threads and GPUs of one image model."""
        return resources_of(self.model, inputs, runtime)

    def reads(self, inputs: Inputs) -> tuple[str, ...]:
        """Packed images and the pretrained weights that it may start from."""
        return (*packs(inputs), *weight_files(self.model))

    @classmethod
    def at_once(cls, steps: Sequence[Step], inputs: Inputs, runtime: Runtime) -> int:
        """Networks in training side by side."""
        return networks_at_once([fold_model_of(step).model for step in steps], inputs, runtime, training=True)

    def prepare(self, steps: Sequence[Step], inputs: Inputs, runtime: Runtime) -> None:
        """Pack the images before the first job asks for them."""
        shared_training_lesions(inputs, runtime)

    def do(self, step: Step, inputs: Inputs, runtime: Runtime) -> None:
        """Train (going on from the last saved state if there is one), predict the held-out lesions, report.

        Of processes that do this together, the leading one alone writes.
        """
        from image_models.predict import predict
        from image_models.training.distributed import ALONE
        from image_models.training.train import FoldTask, Places, train_fold

        use_threads(runtime)
        train, folds, display = inputs.data.train, inputs.folds, runtime.display
        rows, held_out = self.train_rows(folds), self.held_out(folds)
        lesions = shared_training_lesions(inputs, runtime)
        ranks = runtime.ranks or ALONE
        label = f"{runtime.position} {self.title}".lstrip()
        attempt = None
        if ranks.leads:
            attempt = step.begin()
            lesions = fit_metadata(self.model, train, rows, step.folder, lesions)
        ranks.agreed(None)  # the metadata's encoder is there from here on
        if not ranks.leads:
            lesions = with_stored_metadata(self.model, step.folder, train.table, lesions)
        keep = not inputs.run.recipe.resources.image_model_cpus
        log_dir = inputs.run.folder / "tensorboard" / self.model.name / self.name if runtime.tensorboard else None
        try:
            with display.task(f"{label}: training") as progress:
                trained = train_fold(
                    FoldTask(self.model, lesions, rows, self.seed, step.fingerprint, keep_threads=keep),
                    Places(step.folder, runtime.weights_dir, runtime.cache_dir, log_dir),
                    progress=progress,
                    ranks=ranks,
                )
            training = trained.report
            with display.task(f"{label}: predicting {len(held_out):,} lesions") as progress:
                probability = predict(
                    trained.network, self.model, lesions, held_out, cache_dir=runtime.cache_dir, progress=progress,
                    ranks=ranks,
                )  # fmt: skip
        except TrainingError as error:
            raise TrainingError(f"{step.name}: {error}") from error
        if attempt is None:
            return
        task = train.task
        Predictions(
            lesion_id=lesions.ids[held_out],
            fold=folds.fold[held_out],
            probabilities=probability,
            columns=task.probability_columns,
        ).write(step.folder / PREDICTIONS)
        scores = score_columns(train, {"": probability}, seed=self.run_seed, rows=held_out, replicates=0)[""]
        attempt.finish(
            [WEIGHTS, PREDICTIONS, "training.json", *artefacts(self.model)],
            training=training.as_dict(),
            seconds=training.seconds,
            scores=scores,
        )
        score = f"{task.score} {scores[task.score]['estimate']:.4f}, " if task.score in scores else ""
        display.say(f"{label}: {score}{training.seconds:.1f} s, {training.images_per_second:,.0f} images/s")


def fold_model_step(
    run: Run, facts: InputFacts, folds: Step, model: ImageModelRecipe, left_out: tuple[int, ...]
) -> Step:
    """The training of a fold model and everything its result depends on."""
    work = FoldModel(model, left_out, run.recipe.seed, run.recipe.data.image_size)
    needs = [Need("train table", facts.train_table), Need("folds", step=folds, artefacts=("folds.parquet",))]
    if model.backbone != "none":
        needs.append(Need("train images", facts.train_images or ""))
    return Step(
        kind="fold model",
        key=(model.name, *left_out),
        name=f"image model {work.title}",
        folder=run.folder / "oof" / model.name / work.name,
        work=work,
        settings=work.settings,
        needs=tuple(needs),
        unfinished="last.*",
    )


def fold_model_of(step: Step) -> FoldModel:
    """The work of a fold model's step."""
    assert isinstance(step.work, FoldModel)
    return step.work


def predictions_of(step: Step, inputs: Inputs) -> Predictions:
    """What a fold model said of the lesions left out, or of the test lesions; DataError when they are others."""
    path = step.folder / PREDICTIONS
    said = Predictions.read(path, inputs.data.train.task.probability_columns)
    if isinstance(step.work, FoldModel):
        own = inputs.data.train.ids[step.work.held_out(inputs.folds)]
        if not np.array_equal(said.lesion_id, own):
            raise DataError(
                f"{path} is about other lesions than those left out; delete its folder, and `fusionnetx oof` trains "
                "that network again"
            )
    return said


def use_threads(runtime: Runtime) -> None:
    """Let PyTorch run with the threads of the job: with another number its sums round otherwise."""
    import torch

    torch.set_num_threads(max(1, runtime.job_cpus // runtime.sharers))


def networks_at_once(models: Sequence[ImageModelRecipe], inputs: Inputs, runtime: Runtime, *, training: bool) -> int:
    """How many image models this machine can have at work side by side."""
    different = list({model.name: model for model in models}.values())
    classes = len(inputs.data.train.task.classes)
    recipe, in_all = inputs.run.recipe, fold_models_in_all(inputs)
    return image_models_at_once(different, recipe, runtime, classes, training=training, in_all=in_all)


def resources_of(model: ImageModelRecipe, inputs: Inputs, runtime: Runtime) -> Resources:
    """What a fold model takes, in training and at its predictions."""
    return image_model_resources(inputs.run.recipe, runtime, model, fold_models_in_all(inputs))


def fold_models_in_all(inputs: Inputs) -> int:
    """Fold models of the run, done or not."""
    recipe, folds = inputs.run.recipe, finished_fold_count(inputs.run)
    return len(recipe.image_models) * (folds + (comb(folds, 2) if recipe.tabular.nested else 0))


def packs(inputs: Inputs) -> tuple[str, ...]:
    """Names of the packed images, if this process needed them so far."""
    cache = inputs.runtime.cache_dir
    return tuple(f"cache/{pack.relative_to(cache).as_posix()}" for pack in inputs.opened_packs())


def weight_files(model: ImageModelRecipe) -> tuple[str, ...]:
    """The pretrained weights that a model may start from, as a worker finds them."""
    if model.pretrained == "none" or model.pretrained.startswith("pypi:"):
        return ()
    if model.pretrained == "timm":
        return ("weights/",)
    path, here = Path(model.pretrained).expanduser().resolve(), Path.cwd()
    return (f"working/{path.relative_to(here).as_posix()}",) if path.is_relative_to(here) else ()
