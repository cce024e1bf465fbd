"""One job of stage one: an image model trained without some folds, and what it says of the lesions it did not see.

Leaving out one fold gives the out-of-fold columns; leaving out two gives the columns that stage two trains on when
`tabular.nested` asks that no label of the scored fold reaches them. A second, smaller job predicts the test lesions, so
that another test table never trains anything again.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from data.cohort import Cohort
from data.errors import TrainingError
from data.images.pack import ImagePack
from data.predictions import TEST_FOLD, Predictions
from data.relabel import relabelled
from features.vector import refuse_columns
from image_models.recipe import RUNTIME_KEYS, ImageModelRecipe, deciding_settings
from pipeline.run import Step
from pipeline.scoring import score_columns
from pipeline.seeds import derive
from pipeline.steps.metadata import artefacts, fit_metadata, with_stored_metadata
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from image_models.lesions import Lesions

NOT_IN_FINGERPRINT = RUNTIME_KEYS
"""Keys that change speed or safety, never the result."""


@dataclass(frozen=True)
class FoldModel:
    """One image model trained on all folds but `left_out`."""

    space: Workspace
    model: ImageModelRecipe
    left_out: tuple[int, ...]

    @property
    def name(self) -> str:
        """`fold_3`, or `folds_1_3` when two are left out."""
        return ("fold_" if len(self.left_out) == 1 else "folds_") + "_".join(map(str, self.left_out))

    @property
    def title(self) -> str:
        """How messages name it."""
        return f"{self.model.name}, {self.name.replace('_', ' ')}"

    @property
    def folder(self) -> Path:
        """Where it lives."""
        return self.space.run_dir / "oof" / self.model.name / self.name

    @property
    def weights_path(self) -> Path:
        """Its trained weights."""
        return self.folder / "model.safetensors"

    @cached_property
    def held_out(self) -> npt.NDArray[np.int64]:
        """Rows it must not see."""
        return np.flatnonzero(np.isin(self.space.folds.fold, self.left_out)).astype(np.int64)

    @cached_property
    def train_rows(self) -> npt.NDArray[np.int64]:
        """Rows it learns from."""
        return np.flatnonzero(~np.isin(self.space.folds.fold, self.left_out)).astype(np.int64)

    @property
    def seed(self) -> int:
        """Its own seed, whatever the order of jobs."""
        return derive(self.space.recipe.seed, self.model.name, self.name)

    @property
    def settings(self) -> dict[str, Any]:
        """Everything of the recipe that decides its result."""
        recipe = self.space.recipe
        return {**deciding_settings(self.model), "run_seed": recipe.seed, "pack_size": recipe.data.image_size}

    @cached_property
    def step(self) -> Step:
        """The training job and everything its result depends on."""
        space = self.space
        inputs = {"train table": space.data.train.fingerprint, "folds": space.folds_checksum}
        if self.model.backbone != "none":
            inputs["train images"] = space.pack_fingerprint(space.train_images, space.data.train.ids)
        return Step(name=f"image model {self.title}", folder=self.folder, settings=self.settings, inputs=inputs)

    @cached_property
    def test_step(self) -> Step:
        """The job that predicts the test lesions."""
        data = self.space.data
        assert data.test is not None
        inputs = {"model": self.step.checksum("model.safetensors")}
        if self.model.backbone != "none":
            assert data.test_images is not None
            inputs["test images"] = self.space.pack_fingerprint(data.test_images, data.test.ids)
        if self.model.metadata.columns:
            inputs["test table"] = data.test.fingerprint
        inputs |= {name: self.step.checksum(name) for name in artefacts(self.model)}
        return Step(
            name=f"image model {self.title}, test lesions",
            folder=self.folder / "test",
            settings={"test_time": self.model.test_time, "precision": self.model.precision},
            inputs=inputs,
        )

    def train(self, lesions: "Lesions", label: str) -> None:
        """Train (going on from the last saved state if there is one), predict the held-out lesions, report.

        Of processes that do this together, the leading one alone writes.
        """
        from image_models.predict import predict
        from image_models.training.distributed import ALONE
        from image_models.training.train import FoldTask, Places, train_fold

        space, task = self.space, self.space.data.train.task
        ranks = space.ranks or ALONE
        if ranks.leads:
            self.step.begin()
            lesions = fit_metadata(self.model, space.data.train, self.train_rows, self.folder, lesions)
        ranks.agreed(None)  # the metadata's encoder is there from here on
        if not ranks.leads:
            lesions = with_stored_metadata(self.model, self.folder, space.data.train.table, lesions)
        try:
            with space.display.task(f"{label}: training") as progress:
                log_dir = space.run_dir / "tensorboard" / self.model.name / self.name if space.tensorboard else None
                trained = train_fold(
                    FoldTask(self.model, lesions, self.train_rows, self.seed, self.step.fingerprint),
                    Places(self.folder, space.weights_dir, space.cache_dir, log_dir),
                    progress=progress,
                    ranks=ranks,
                )
            training = trained.report
            with space.display.task(f"{label}: predicting {len(self.held_out):,} lesions") as progress:
                probability = predict(
                    trained.network, self.model, lesions, self.held_out, cache_dir=space.cache_dir, progress=progress,
                    ranks=ranks,
                )  # fmt: skip
        except TrainingError as error:
            raise TrainingError(f"{self.step.name}: {error}") from error
        if not ranks.leads:
            return
        Predictions(
            lesion_id=lesions.ids[self.held_out],
            fold=space.folds.fold[self.held_out],
            probabilities=probability,
            columns=task.probability_columns,
        ).write(self.folder / "predictions.parquet")
        scores = score_columns(space, {"held out": probability}, rows=self.held_out, replicates=0)["held out"]
        self.step.finish(
            ["model.safetensors", "predictions.parquet", *artefacts(self.model)],
            training=training.as_dict(),
            seconds=training.seconds,
            scores=scores,
        )
        score = f"{task.score} {scores[task.score]['estimate']:.4f}, " if task.score in scores else ""
        space.display.say(f"{label}: {score}{training.seconds:.1f} s, {training.images_per_second:,.0f} images/s")

    def predict_test(self, lesions: "Lesions") -> None:
        """Predict every test lesion; of processes that do this together, the leading one alone writes."""
        from image_models.predict import load_model, predict
        from image_models.training.distributed import ALONE

        space = self.space
        assert space.data.test is not None
        ranks = space.ranks or ALONE
        if ranks.leads:
            self.test_step.begin()
        lesions = with_stored_metadata(self.model, self.folder, space.data.test.table, lesions)
        network = load_model(self.weights_path, self.model, lesions.classes)
        with space.display.task(f"{self.title}: predicting {len(lesions):,} test lesions") as progress:
            probability = predict(
                network, self.model, lesions, np.arange(len(lesions)), cache_dir=space.cache_dir, progress=progress,
                ranks=ranks,
            )  # fmt: skip
        if not ranks.leads:
            return
        Predictions(
            lesion_id=lesions.ids,
            fold=np.full(len(lesions), TEST_FOLD, dtype=np.int64),
            probabilities=probability,
            columns=space.data.train.task.probability_columns,
        ).write(self.test_step.folder / "predictions.parquet")
        self.test_step.finish(["predictions.parquet"])

    def predictions(self) -> Predictions:
        """What it said of the held-out lesions."""
        return Predictions.read(self.folder / "predictions.parquet", self.space.data.train.task.probability_columns)

    def test_predictions(self) -> Predictions:
        """What it said of the test lesions."""
        return Predictions.read(
            self.test_step.folder / "predictions.parquet", self.space.data.train.task.probability_columns
        )


def sees_images(space: Workspace) -> bool:
    """Whether any model of the recipe has a backbone; otherwise no image is read or packed."""
    return any(model.backbone != "none" for model in space.recipe.image_models)


def training_lesions(space: Workspace, *, images: bool = True) -> "Lesions":
    """The training cohort as arrays for networks; without images (for a plan, or when no model sees any) every lesion
    counts as there. Metadata differ by model and fold: `FoldModel.train` adds them.
    """
    from image_models.lesions import Lesions, no_images

    train = space.data.train
    count = len(train.ids)
    for model in space.recipe.image_models:
        refuse_columns(train, model.metadata.columns, model.name)
    packed = images and sees_images(space)
    needs_relabelling = any(model.labels != "target" for model in space.recipe.image_models)
    _, group = np.unique(train.groups, return_inverse=True)
    return Lesions(
        images=space.train_pack.images if packed else no_images(count),
        present=space.train_pack.present if packed else np.ones(count, dtype=np.bool_),
        images_fingerprint=space.train_pack.fingerprint if packed else "",
        target=train.target,
        training_label=relabelled(train) if needs_relabelling else train.target,
        group=group.astype(np.int64),
        classes=len(train.task.classes),
        ids=train.ids,
    )


def test_lesions(space: Workspace) -> "Lesions":
    """The test cohort as arrays for networks."""
    test = space.data.test
    assert test is not None
    return unlabelled_lesions(test, space.test_pack if sees_images(space) else None)


def unlabelled_lesions(cohort: Cohort, pack: ImagePack | None) -> "Lesions":
    """Lesions whose answer is not known, as the arrays that networks take; None when no model sees images."""
    from image_models.lesions import UNKNOWN, Lesions, no_images

    count = len(cohort.ids)
    unknown = np.full(count, UNKNOWN, dtype=np.int64)
    return Lesions(
        images=no_images(count) if pack is None else pack.images,
        present=np.ones(count, dtype=np.bool_) if pack is None else pack.present,
        images_fingerprint="" if pack is None else pack.fingerprint,
        target=unknown,
        training_label=unknown,
        group=unknown,
        classes=len(cohort.task.classes),
        ids=cohort.ids,
    )


def named_columns(model: str, predictions: Predictions) -> dict[str, npt.NDArray[np.float64]]:
    """One column called after the model when binary, else one per class called `model:class`."""
    if len(predictions.columns) == 1:
        return {model: predictions.probabilities[:, 0]}
    return {f"{model}:{name}": predictions.probabilities[:, i] for i, name in enumerate(predictions.columns)}


def stacked(columns: dict[str, Any], model: str) -> Any:
    """The probabilities of one model: 1-D when binary, else lesions x classes."""
    if model in columns:
        return columns[model]
    return np.column_stack([column for name, column in columns.items() if name.startswith(f"{model}:")])
