"""Sheets of training images: each lesion as it is, then as training sees it, or after each step of its cleaning."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from data.errors import DataError, RecipeError
from data.files import atomic
from data.images.cleaned import STEPS, cleaned
from data.images.decode import pixels
from data.images.shards import Beside, take
from data.recipe import reader_of
from data.tables.near import did_you_mean
from pipeline.actions.outputs import refuse_output
from pipeline.inputs import Inputs
from pipeline.runtime import Runtime
from pipeline.steps.lesions import training_lesions


def write_sheet(inputs: Inputs, runtime: Runtime, model_name: str | None, out_path: Path, rows: int = 8) -> None:
    """Save the sheet of one image model as PNG; half of the lesions are malignant where there are enough."""
    from image_models.contact_sheet import contact_sheet

    refuse_output(out_path, (inputs.run.folder, inputs.run.data_dir))
    models = {model.name: model for model in inputs.run.recipe.image_models}
    if not models:
        raise RecipeError("the recipe has no image models, so there is nothing to augment")
    name = model_name or next(iter(models))
    if name not in models:
        hint = did_you_mean(name, models, 0.5)
        raise RecipeError(f"no image model is called {name!r}{hint}; there are {', '.join(models)}")
    recipe = models[name]
    if recipe.trains_on_vectors:
        why = "sees no images" if recipe.backbone == "none" else "is frozen: its images are not changed"
        raise RecipeError(f"image model {name} {why}; there is nothing to show")
    lesions = training_lesions(inputs)
    usable = np.flatnonzero(lesions.present)
    positives = usable[lesions.target[usable] > 0][: rows // 2]
    negatives = usable[lesions.target[usable] == 0][: rows - len(positives)]
    chosen = np.concatenate([positives, negatives])
    seen = lesions.images.of(recipe.pictures[:1]) if isinstance(lesions.images, Beside) else lesions.images
    images = np.empty((len(chosen), *seen.shape[1:]), np.uint8)
    take(seen, chosen, images)
    sheet = contact_sheet(images, recipe.augment, recipe.input_size, seed=inputs.run.recipe.seed)
    save(sheet, out_path)
    runtime.display.say(f"wrote {out_path}: {len(positives)} malignant lesions above {len(negatives)} benign ones")


SIDE, GAP = 192, 4


def write_cleaning_sheet(inputs: Inputs, runtime: Runtime, out_path: Path, rows: int = 8) -> None:
    """One row per picture: as it is, then after each step of the recipe (or of all there are) on top of the others."""
    refuse_output(out_path, (inputs.run.folder, inputs.run.data_dir))
    recipe = inputs.run.recipe.data
    steps = recipe.clean or tuple(STEPS)
    source = reader_of(recipe).read(inputs.source_dir).train_images
    if source is None or not len(source.ids):
        raise DataError("the data hold no images to clean")
    names = source.ids[np.unique(np.linspace(0, len(source.ids) - 1, rows).astype(int))]
    sheet = []
    for name in names.tolist():
        image = pixels(source.read(name))
        shown = [cleaned(image, steps[:count]) for count in range(len(steps) + 1)]
        sheet.append(np.hstack([framed(one) for one in shown]))
    save(np.vstack(sheet), out_path)
    runtime.display.say(f"wrote {out_path}: {len(names)} pictures as they are, then after {', '.join(steps)}")


def framed(image: np.ndarray) -> np.ndarray:
    """A picture at the sheet's size with white around it."""
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.pad(small, ((GAP, GAP), (GAP, GAP), (0, 0)), constant_values=255)


def save(sheet: np.ndarray, path: Path) -> None:
    """As PNG."""
    with atomic(path) as temporary:
        Image.fromarray(sheet).save(temporary, format="PNG")
