"""Fetch the pretrained weights a recipe needs into one folder, for machines without internet later."""

from data.errors import TrainingError
from pipeline.workspace import Workspace


def run_weights(space: Workspace) -> None:
    """Fetch what is missing; one failure does not keep the others from being fetched."""
    from image_models.networks.weights import fetch

    problems = []
    branches = [(model.name, part) for model in space.recipe.image_models for part in model.image_branches()]
    for name, part in branches:
        try:
            path = fetch(part, space.weights_dir)
        except TrainingError as error:
            problems.append(str(error))
            continue
        space.display.say(f"{name}, {part.backbone}: {path or 'needs no pretrained weights'}")
    if problems:
        raise TrainingError("\n".join(problems))
