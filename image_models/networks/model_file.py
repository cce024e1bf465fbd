"""A trained network as one safetensors file: weights, and in the header what they are weights of."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor

from data.errors import TrainingError
from image_models.networks.fitting import misfits
from image_models.networks.image_model import Network
from image_models.networks.metadata_shape import MetadataShape
from image_models.networks.zoo import build
from image_models.recipe import ImageModelRecipe
from image_models.tensor_file import read_header, read_tensors, require_intact, write_tensors

STRUCTURE = (
    *("name", "backbone", "head", "second_backbone", "second_image_size", "pictures", "metadata", "fusion"),
    *("site_column", "classifier", "hidden", "image_size", "gem_kernels", "normalise"),
)
"""Keys of the recipe that shape a network, and its name."""

DEFAULTS: dict[str, Any] = json.loads(
    json.dumps(dataclasses.asdict(ImageModelRecipe(name="default", backbone="default")))
)


def description(recipe: ImageModelRecipe, classes: int) -> dict[str, Any]:
    """What must agree between a file and the network it is loaded into, and the name it was trained under."""
    values = dataclasses.asdict(recipe)
    found: dict[str, Any] = json.loads(json.dumps({key: values[key] for key in STRUCTURE}))
    return {**found, "classes": classes}


def save_model(
    path: Path,
    weights: dict[str, Tensor],
    recipe: ImageModelRecipe,
    classes: int,
    key: dict[str, Any],
    *,
    metadata: MetadataShape | None = None,
) -> None:
    """Write a network's weights; `key` says by which fit they were made, `metadata` what it takes beside images."""
    if recipe.metadata.columns and metadata is None:
        raise ValueError(f"model {recipe.name!r} takes metadata columns: its file needs their MetadataShape")
    header = {"model": description(recipe, classes), "key": key}
    write_tensors(path, weights, header | ({"metadata_shape": metadata.to_json()} if metadata else {}))


def load_model(path: Path, recipe: ImageModelRecipe, classes: int) -> Network:
    """Build the recipe's network and fill it with the file's weights; both must be of the same make."""
    header, weights = _read(path)
    wanted = description(recipe, classes)
    if "model" in header:
        # Files from before a key existed were written at what is its default now.
        found = {**DEFAULTS, **header["model"]}
        found["metadata"] = {**DEFAULTS["metadata"], **found["metadata"]}
        differing = [key for key in wanted if key != "name" and found.get(key) != wanted[key]]
        if differing:
            parts = ", ".join(f"{key} {found.get(key)!r} (the recipe says {wanted[key]!r})" for key in differing)
            raise TrainingError(f"model file {path} is of another network: {parts}; use its own recipe or train again")
    # Trained weights replace any start: nothing is downloaded to load a model.
    model = build(dataclasses.replace(recipe, pretrained="none"), classes, metadata=_shape(header))
    _require_fit(path, model.state_dict(), weights)
    model.load_state_dict(weights)
    model.eval()
    return model


def read_metadata_shape(path: Path) -> MetadataShape | None:
    """What the network of a model file takes beside images; None for images alone."""
    return _shape(_read(path)[0])


def _shape(header: dict[str, Any]) -> MetadataShape | None:
    return MetadataShape.from_json(header["metadata_shape"]) if "metadata_shape" in header else None


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        return read_header(path), read_tensors(path)
    except FileNotFoundError as error:
        raise TrainingError(f"model file {path} does not exist: train the image models first") from error
    except (SafetensorError, ValueError, OSError) as error:
        raise TrainingError(
            f"model file {path} cannot be read ({error}): truncated, or no safetensors file; delete its folder and "
            "train that fold again"
        ) from error


def _require_fit(path: Path, wanted: dict[str, Tensor], found: dict[str, Tensor]) -> None:
    """TrainingError that says in one message which tensors are not the network's."""
    if problem := misfits(wanted, found):
        raise TrainingError(
            f"model file {path} does not fit the recipe's network: tensors {problem}; another recipe or another "
            "version of timm wrote it: train that fold again"
        )


def finished_by(path: Path, key: dict[str, Any]) -> bool:
    """Whether `path` is a model file that the fit named by `key` wrote, every byte as it wrote it."""
    try:
        require_intact(path)
        return bool(read_header(path).get("key") == key)
    except (OSError, SafetensorError, ValueError):
        return False
