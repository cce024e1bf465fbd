"""What a network weighs and how long it takes for one image on one thread."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from data.errors import RecipeError
from image_models.networks.heads import classifier
from image_models.networks.image_branch import ImageBranch
from image_models.networks.metadata_shape import MetadataShape
from image_models.networks.zoo import backbone_and_head, build_head
from image_models.recipe import ImageModelRecipe
from image_models.training.groups import blank_inputs, describe
from pipeline.recipe import load_recipe
from research.systems.registry import System

REPEATS = 7
_branches: dict[tuple[str, int, str, bool], tuple[int, int]] = {}

HAM10000_INPUTS = MetadataShape(
    columns=("age", "age missing", "sex = female", "sex = male", *(f"localization = {i}" for i in range(14))),
    sites=tuple(range(4, 18)),
    groups=((0, 1), (2, 3), tuple(range(4, 18))),
)
"""What age, sex and site of HAM10000 become; the 14 sites it names."""


@dataclass(frozen=True)
class SystemCost:
    """Of a trained network, or the sum of several."""

    parameters: int
    megabytes: float
    ms_per_image: float
    """Median of a few single images on one thread of the CPU."""


def cost_of(model: nn.Module, image_size: int, *, sees_images: bool) -> SystemCost:
    """Count and time a network."""
    model = model.to("cpu").eval()
    size = image_size if sees_images else 1
    facts = describe(model, size)
    inputs = blank_inputs(model, size)
    seconds = []
    with torch.inference_mode(), one_thread():
        for _ in range(REPEATS + 1):
            start = time.perf_counter()
            model(*inputs)
            seconds.append(time.perf_counter() - start)
    return SystemCost(facts.parameters, facts.megabytes, 1000 * float(np.median(seconds[1:])))


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one thread for a while."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def parameter_count(system: System) -> int:
    """Parameters of a system's networks at full size for seven classes and HAM10000's metadata, from building them."""
    models = load_recipe(system.recipe).image_models if system.two_stages else (system.network,)
    return sum(parameters_of(model, system) for model in models)


def parameters_of(model: ImageModelRecipe, system: System) -> int:
    """Parameters of one network: its image branches, each built once however many networks it stands in, and its head."""
    shape, parts = (HAM10000_INPUTS if model.metadata.columns else None), model.image_branches()
    looks = len(parts)
    if model.second_backbone == "same":
        parts = parts[:1]
    # Shapes alone: on the meta device nothing is computed, and B4 at 1,024 px costs no more than a small network.
    with torch.device("meta"):
        try:
            branches = [branch_of(part) for part in parts]
            width = sum(width for _, width in branches) * (looks // max(len(parts), 1))
            alone = looks == 1 and shape is None
            head = classifier(width, model, 7) if alone else build_head(width, shape, model, 7)
        except RuntimeError as error:
            raise RecipeError(f"system {system.name} cannot be built: {error}") from error
    return sum(count for count, _ in branches) + weights_in(head)


def branch_of(part: ImageModelRecipe) -> tuple[int, int]:
    """Parameters and width of an image branch."""
    key = (part.backbone, part.image_size, part.head, part.fusion == "token_cross_attention")
    if key not in _branches:
        branch = ImageBranch(*backbone_and_head(replace(part, pretrained="none"), None))
        _branches[key] = weights_in(branch), branch.width
    return _branches[key]


def weights_in(module: nn.Module) -> int:
    """How many numbers a module learns or holds."""
    return sum(parameter.numel() for parameter in module.parameters())
