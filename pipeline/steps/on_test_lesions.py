"""What a fold model says of the test lesions: a step of its own, so that another test table trains nothing again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from data.predictions import TEST_FOLD, Predictions
from image_models.recipe import ImageModelRecipe
from pipeline.facts import InputFacts
from pipeline.inputs import Inputs
from pipeline.runtime import Runtime
from pipeline.stage_two import PREDICTIONS
from pipeline.step import Need, Resources, Step, Work
from pipeline.steps.fold_model import WEIGHTS, fold_model_of, networks_at_once, packs, resources_of, use_threads
from pipeline.steps.lesions import images_on_device, shared_test_lesions
from pipeline.steps.metadata import artefacts, with_stored_metadata


@dataclass(frozen=True)
class OnTestLesions(Work):
    """What a fold model says of the test lesions."""

    verb: ClassVar[str] = "oof"
    stage: ClassVar[str] = "image models on test lesions"
    batch: ClassVar[str] = "stage one"
    for_prediction: ClassVar[bool] = False

    trained: Step
    """The step of the fold model."""

    @property
    def turn(self) -> tuple[int]:
        """After all training: cores that have no more of it to do take these meanwhile."""
        return (1,)

    @property
    def follows(self) -> Step:
        """Its fold model."""
        return self.trained

    @property
    def model(self) -> ImageModelRecipe:
        """The image model."""
        return fold_model_of(self.trained).model

    def resources(self, inputs: Inputs, runtime: Runtime) -> Resources:
        """As for training."""
        return resources_of(self.model, inputs, runtime)

    def reads(self, inputs: Inputs) -> tuple[str, ...]:
        """Packed images."""
        return packs(inputs)

    @classmethod
    def at_once(cls, steps: Sequence[Step], inputs: Inputs, runtime: Runtime) -> int:
        """Networks at work side by side."""
        models = [fold_model_of(step.work.trained).model for step in steps if isinstance(step.work, OnTestLesions)]
        return networks_at_once(models, inputs, runtime, training=False)

    def prepare(self, steps: Sequence[Step], inputs: Inputs, runtime: Runtime) -> None:
        """Pack the images before the first job asks for them."""
        shared_test_lesions(inputs, runtime)

    def do(self, step: Step, inputs: Inputs, runtime: Runtime) -> None:
        """Predict every test lesion; of processes that do this together, the leading one alone writes."""
        from image_models.predict import load_model, predict
        from image_models.training.distributed import ALONE

        use_threads(runtime)
        test, ranks = inputs.data.test, runtime.ranks or ALONE
        assert test is not None
        attempt = step.begin() if ranks.leads else None
        lesions = shared_test_lesions(inputs, runtime)
        lesions = with_stored_metadata(self.model, self.trained.folder, test.table, lesions)
        held = images_on_device(runtime.shared, "test images on the device", self.model, lesions)
        network = load_model(self.trained.folder / WEIGHTS, self.model, lesions.classes)
        title = fold_model_of(self.trained).title
        with runtime.display.task(f"{title}: predicting {len(lesions):,} test lesions") as progress:
            probability = predict(
                network, self.model, lesions, np.arange(len(lesions)), cache_dir=runtime.cache_dir, held=held,
                progress=progress, ranks=ranks,
            )  # fmt: skip
        if attempt is None:
            return
        Predictions(
            lesion_id=lesions.ids,
            fold=np.full(len(lesions), TEST_FOLD, dtype=np.int64),
            probabilities=probability,
            columns=test.task.probability_columns,
        ).write(step.folder / PREDICTIONS)
        attempt.finish([PREDICTIONS])


def test_lesions_step(facts: InputFacts, trained: Step) -> Step:
    """The prediction of the test lesions by a fold model and everything it depends on."""
    model = fold_model_of(trained).model
    needs = [Need("model", step=trained, artefacts=(WEIGHTS,))]
    if model.backbone != "none":
        needs.append(Need("test images", facts.test_images or ""))
    if model.metadata.columns:
        needs.append(Need("test table", facts.test_table or ""))
    needs += [Need(name, step=trained, artefacts=(name,)) for name in artefacts(model)]
    return Step(
        kind="test lesions",
        key=trained.key,
        name=f"{trained.name}, test lesions",
        folder=trained.folder / "test",
        work=OnTestLesions(trained),
        settings={"test_time": model.test_time, "precision": model.precision},
        needs=tuple(needs),
    )
