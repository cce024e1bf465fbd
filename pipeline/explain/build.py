"""`fusionnetx explain`: a sheet per lesion that says what the run's answer rests on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import DataError
from image_models.recipe import ImageModelRecipe
from pipeline.actions.outputs import refuse_folder
from pipeline.explain.boosters import explain_boosters
from pipeline.explain.networks import Pixels, chosen_models, explain_networks, picture
from pipeline.explain.population import Population, find, known_populations, new_population
from pipeline.explain.sheet import figures_of, write_sheet
from pipeline.inputs import Inputs
from pipeline.runtime import Runtime


def run_explain(
    inputs: Inputs,
    runtime: Runtime,
    lesions: Sequence[str],
    *,
    models: Sequence[str] = (),
    class_name: str | None = None,
    metadata_path: Path | None = None,
    images_path: Path | None = None,
    out: Path | None = None,
) -> list[Path]:
    """Write a sheet for every lesion; everything is checked for all of them before the first is explained.

    Of lesions of another table, the run's own data are not read.
    """
    run = inputs.run
    if out is not None:
        refuse_folder(out)
    chosen = chosen_models(run.recipe.image_models, models)
    if metadata_path is None:
        populations = known_populations(inputs, runtime)
    else:
        populations = [new_population(run, runtime, metadata_path, images_path)]
    places = [find(populations, lesion) for lesion in lesions]
    images = [image_for(population, row, chosen) for population, row in places]
    written = []
    for (population, row), image in zip(places, images, strict=True):
        written.append(explain_lesion(population, row, image, chosen, class_name, out or run.folder / "explain"))
        runtime.display.say(f"wrote {written[-1]}")
    return written


def explain_lesion(
    population: Population,
    row: int,
    image: Pixels | None,
    models: Sequence[ImageModelRecipe],
    class_name: str | None,
    out: Path,
) -> Path:
    """Explain one lesion and write its sheet."""
    said = population.said(population.patient_rows(row))
    at = int(np.flatnonzero(population.patient_rows(row) == row)[0])
    towards = explained_class(population, said["blend"][at], class_name)
    with population.runtime.display.task(f"explaining {population.ids[row]}"):
        networks = explain_networks(population, row, models, towards, image)
        boosters = explain_boosters(population, row, towards)
    figures = figures_of(population, row, towards, networks, boosters, said, has_image=image is not None)
    return write_sheet(figures, population, image, networks, out)


def explained_class(population: Population, blend: Any, name: str | None) -> int:
    """The class to explain: the one named, else the positive one of two, else the most probable."""
    classes = population.cohort.task.classes
    if name is None:
        return 1 if len(classes) == 2 else int(np.nan_to_num(blend).argmax())
    if name not in classes:
        raise DataError(f"there is no class {name!r}; the run knows {', '.join(classes)}")
    return classes.index(name)


def image_for(population: Population, row: int, models: Sequence[ImageModelRecipe]) -> Pixels | None:
    """The lesion's image; DataError when a model to explain needs it and there is none."""
    try:
        return picture(population, row)
    except DataError as error:
        seeing = [model.name for model in models if model.backbone != "none"]
        if not seeing:
            return None
        blind = [model.name for model in population.plan.run.recipe.image_models if model.backbone == "none"]
        remedy = f"explain {' or '.join(blind)} alone with --model" if blind else "choose a lesion with an image"
        raise DataError(
            f"lesion {population.ids[row]} has no image ({error}), which {' and '.join(seeing)} would be explained on; "
            f"{remedy}"
        ) from error
