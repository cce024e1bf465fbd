"""The cohorts as the arrays that networks take, put together once for all models of a process."""

from typing import TYPE_CHECKING

import numpy as np

from data.cohort import Cohort
from data.images.pack import ImagePack
from data.relabel import relabelled
from features.vector import refuse_columns
from pipeline.inputs import Inputs
from pipeline.runtime import Runtime

if TYPE_CHECKING:
    from image_models.lesions import Lesions


def shared_training_lesions(inputs: Inputs, runtime: Runtime) -> "Lesions":
    """The training lesions."""
    return runtime.shared.get("training lesions", "", lambda: training_lesions(inputs))


def shared_test_lesions(inputs: Inputs, runtime: Runtime) -> "Lesions":
    """The test lesions."""
    return runtime.shared.get("test lesions", "", lambda: test_lesions(inputs))


def training_lesions(inputs: Inputs, *, images: bool = True) -> "Lesions":
    """The training cohort; without images (for a look ahead, or when no model sees any) every lesion counts as there.

    Metadata differ by model and fold: the training of a fold model adds them.
    """
    from image_models.lesions import Lesions, no_images

    train, recipe = inputs.data.train, inputs.run.recipe
    count = len(train.ids)
    for model in recipe.image_models:
        refuse_columns(train, model.metadata.columns, model.name)
    packed = images and recipe.sees_images
    needs_relabelling = any(model.labels != "target" for model in recipe.image_models)
    _, group = np.unique(train.groups, return_inverse=True)
    return Lesions(
        images=inputs.train_pack.images if packed else no_images(count),
        present=inputs.train_pack.present if packed else np.ones(count, dtype=np.bool_),
        images_fingerprint=inputs.train_pack.fingerprint if packed else "",
        target=train.target,
        training_label=relabelled(train) if needs_relabelling else train.target,
        group=group.astype(np.int64),
        classes=len(train.task.classes),
        ids=train.ids,
    )


def test_lesions(inputs: Inputs) -> "Lesions":
    """The test cohort."""
    test = inputs.data.test
    assert test is not None
    return unlabelled_lesions(test, inputs.test_pack if inputs.run.recipe.sees_images else None)


def unlabelled_lesions(cohort: Cohort, pack: ImagePack | None) -> "Lesions":
    """Lesions whose answer is not known; without a pack where no model sees images."""
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
