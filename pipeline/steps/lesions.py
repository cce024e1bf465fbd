"""The cohorts as the arrays that networks take, put together once for all models of a process."""

from typing import TYPE_CHECKING

import numpy as np

from data.cohort import Cohort
from data.errors import RecipeError
from data.images.pack import ImagePack
from data.images.shards import Beside, Pixels
from data.readers import READERS
from data.relabel import relabelled
from data.tables.near import did_you_mean
from features.vector import refuse_columns
from pipeline.execute.shared import Shared
from pipeline.inputs import Inputs
from pipeline.runtime import Runtime

if TYPE_CHECKING:
    from image_models.lesions import Lesions
    from image_models.recipe import ImageModelRecipe
    from image_models.training.loader import Resident


def shared_training_lesions(inputs: Inputs, runtime: Runtime) -> "Lesions":
    """The training lesions."""
    return runtime.shared.get("training lesions", "", lambda: training_lesions(inputs))


def shared_test_lesions(inputs: Inputs, runtime: Runtime) -> "Lesions":
    """The test lesions."""
    return runtime.shared.get("test lesions", "", lambda: test_lesions(inputs))


def images_on_device(
    shared: Shared, kind: str, model: "ImageModelRecipe", lesions: "Lesions", device: str = "auto"
) -> "Resident | None":
    """The images of some lesions on a device, put there by the first network that looks at them, for all others."""
    from image_models.predict import held_images

    key = f"{model.backbone == 'none'} {model.resident} {model.pictures}"
    return shared.get(kind, key, lambda: held_images(model, lesions, device))


def training_lesions(inputs: Inputs, *, images: bool = True) -> "Lesions":
    """The training cohort; without images (for a look ahead, or when no model sees any) every lesion counts as there.

    Metadata differ by model and fold: the training of a fold model adds them.
    """
    from image_models.lesions import Lesions, no_images

    train, recipe = inputs.data.train, inputs.run.recipe
    count = len(train.ids)
    for model in recipe.image_models:
        refuse_columns(train, model.metadata.columns, model.name)
        refuse_pictures(model, READERS[recipe.data.reader].pictures, recipe.data.reader)
    packed = images and recipe.sees_images
    needs_relabelling = any(model.labels != "target" for model in recipe.image_models)
    _, group = np.unique(train.groups, return_inverse=True)
    return Lesions(
        images=images_of(inputs.train_pack) if packed else no_images(count),
        present=inputs.train_pack.present if packed else np.ones(count, dtype=np.bool_),
        images_fingerprint=inputs.train_pack.fingerprint if packed else "",
        target=train.target,
        training_label=relabelled(train) if needs_relabelling else train.target,
        group=group.astype(np.int64),
        classes=len(train.task.classes),
        ids=train.ids,
    )


def images_of(pack: ImagePack) -> Pixels:
    """The images of a pack, or all pictures of each lesion."""
    return Beside(pack.pictures) if pack.pictures else pack.images


def refuse_pictures(model: "ImageModelRecipe", known: tuple[str, ...], reader: str) -> None:
    """RecipeError for a picture that lesions of this reader do not have."""
    for name in model.pictures:
        if name not in known:
            there = (
                f"its lesions have {' and '.join(known)}" if known else "its lesions have one picture without a name"
            )
            raise RecipeError(
                f"image model {model.name}: pictures: reader {reader!r} gives no {name!r}{did_you_mean(name, known)}; "
                f"{there}"
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
        images=no_images(count) if pack is None else images_of(pack),
        present=np.ones(count, dtype=np.bool_) if pack is None else pack.present,
        images_fingerprint="" if pack is None else pack.fingerprint,
        target=unknown,
        training_label=unknown,
        group=unknown,
        classes=len(cohort.task.classes),
        ids=cohort.ids,
    )
