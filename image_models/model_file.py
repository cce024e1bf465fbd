"""A trained network as one safetensors file: weights, and in the header what they are weights of."""

import dataclasses
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor, nn

from data.errors import TrainingError
from image_models.recipe import ImageModelRecipe
from image_models.state import read_header, read_tensors, write_tensors
from image_models.zoo import build


def description(recipe: ImageModelRecipe, classes: int) -> dict[str, Any]:
    """What must agree between a file and the network it is loaded into, and the name it was trained under."""
    return {
        "name": recipe.name,
        "backbone": recipe.backbone,
        "head": recipe.head,
        "hidden": recipe.hidden,
        "image_size": recipe.image_size,
        "classes": classes,
    }


def save_model(
    path: Path, weights: dict[str, Tensor], recipe: ImageModelRecipe, classes: int, key: dict[str, Any]
) -> None:
    """Write a network's weights; `key` says by which fit they were made."""
    write_tensors(path, weights, {"model": description(recipe, classes), "key": key})


def load_model(path: Path, recipe: ImageModelRecipe, classes: int) -> nn.Module:
    """Build the recipe's network and fill it with the file's weights; both must be of the same make."""
    try:
        header, weights = read_header(path).get("model"), read_tensors(path)
    except FileNotFoundError as error:
        raise TrainingError(f"model file {path} does not exist: train the image models first") from error
    except (SafetensorError, ValueError, OSError) as error:
        raise TrainingError(
            f"model file {path} cannot be read ({error}): truncated, or no safetensors file; delete its folder and "
            "train that fold again"
        ) from error
    wanted = description(recipe, classes)
    if header is not None:
        differing = [key for key in wanted if key != "name" and header.get(key) != wanted[key]]
        if differing:
            parts = ", ".join(f"{key} {header.get(key)!r} (the recipe says {wanted[key]!r})" for key in differing)
            raise TrainingError(f"model file {path} is of another network: {parts}; use its own recipe or train again")
    # Trained weights replace any start: nothing is downloaded to load a model.
    model = build(dataclasses.replace(recipe, pretrained="none"), classes, weights_dir=None)
    _check_names_and_shapes(path, model.state_dict(), weights)
    model.load_state_dict(weights)
    return model.eval()


def _check_names_and_shapes(path: Path, wanted: dict[str, Tensor], found: dict[str, Tensor]) -> None:
    """Say in one message which tensors are missing, unknown or of another shape."""
    shapes = [
        f"{name} is {tuple(found[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in wanted.keys() & found.keys()
        if wanted[name].shape != found[name].shape
    ]
    problems = {
        "missing": sorted(wanted.keys() - found.keys()),
        "unknown": sorted(found.keys() - wanted.keys()),
        "of another shape": sorted(shapes),
    }
    parts = [f"{len(names)} {what} ({', '.join(names[:3])})" for what, names in problems.items() if names]
    if parts:
        raise TrainingError(
            f"model file {path} does not fit the recipe's network: tensors {'; '.join(parts)}; another recipe or "
            "another version of timm wrote it: train that fold again"
        )


def finished_by(path: Path, key: dict[str, Any]) -> bool:
    """Whether `path` is a model file that the fit named by `key` wrote."""
    try:
        return bool(read_header(path).get("key") == key)
    except (OSError, SafetensorError, ValueError):
        return False
