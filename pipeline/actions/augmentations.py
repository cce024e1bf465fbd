"""Write a contact sheet of training images: each lesion as it is, then as training sees it."""

from pathlib import Path

import numpy as np
from PIL import Image

from data.errors import RecipeError
from data.files import atomic
from data.images.shards import Beside, take
from pipeline.actions.outputs import refuse_output
from pipeline.inputs import Inputs
from pipeline.recipe_changes import nearest
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
        raise RecipeError(f"no image model is called {name!r}{nearest(name, models)}; there are {', '.join(models)}")
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
    with atomic(out_path) as temporary:
        Image.fromarray(sheet).save(temporary, format="PNG")
    runtime.display.say(f"wrote {out_path}: {len(positives)} malignant lesions above {len(negatives)} benign ones")
