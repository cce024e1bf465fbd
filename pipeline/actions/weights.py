"""Fetch the pretrained weights a recipe needs into one folder, for machines without internet later."""

from data.errors import TrainingError
from pipeline.recipe import Recipe
from pipeline.runtime import Runtime


def run_weights(recipe: Recipe, runtime: Runtime) -> None:
    """Fetch what is missing; one failure does not keep the others from being fetched."""
    from image_models.networks.weights import fetch

    problems = []
    branches = [(model.name, part) for model in recipe.image_models for part in model.image_branches()]
    for name, part in branches:
        try:
            path = fetch(part, runtime.weights_dir)
        except TrainingError as error:
            problems.append(str(error))
            continue
        runtime.display.say(f"{name}, {part.backbone}: {path or 'needs no pretrained weights'}")
    if problems:
        raise TrainingError("\n".join(problems))
