"""Write a sheet of training pictures before and after each step of their cleaning."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from data.errors import DataError
from data.files import atomic
from data.images.cleaned import STEPS, cleaned
from data.images.decode import pixels
from data.recipe import reader_of
from pipeline.actions.outputs import refuse_output
from pipeline.inputs import Inputs
from pipeline.runtime import Runtime

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
    with atomic(out_path) as temporary:
        Image.fromarray(np.vstack(sheet)).save(temporary, format="PNG")
    runtime.display.say(f"wrote {out_path}: {len(names)} pictures as they are, then after {', '.join(steps)}")


def framed(image: np.ndarray) -> np.ndarray:
    """A picture at the sheet's size with white around it."""
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.pad(small, ((GAP, GAP), (GAP, GAP), (0, 0)), constant_values=255)
