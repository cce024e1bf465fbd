"""What a network's answer rests on: places of the image by Grad-CAM, metadata by integrated gradients; both captum's.

Everything is computed in float32 with the network as it predicts, and explains one score: the log-odds of a class of
two, or a class's logit less the mean logit of all classes, because logits mean something only beside each other.
Which network may be asked about which lesion, and how the answers are shown, is the caller's business.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from captum.attr import IntegratedGradients, LayerGradCam
from torch import Tensor, nn
from torch.nn import functional

from data.errors import TrainingError
from image_models.device import choose_device
from image_models.lesions import Ints, Lesions
from image_models.networks.image_branch import ImageBranch
from image_models.networks.image_model import FusionModel, Network, at_size
from image_models.networks.metadata_shape import MetadataShape
from image_models.predict import placed
from image_models.recipe import ImageModelRecipe
from image_models.rollout import attention_rollout
from image_models.setup import Setup
from image_models.training.inputs import Shown, plain_inputs
from image_models.training.loader import overlapped

Floats = npt.NDArray[np.float64]
STEPS = 50
"""Points on the way from the baseline to the lesion's metadata; Gauss-Legendre, captum's default."""


@dataclass(frozen=True)
class Heat:
    """Where a network looks for one class, for some lesions."""

    maps: Floats
    """(lesions, side, side) at the side of the recipe's images; 0 where nothing speaks for the class. Unscaled: a map
    may be averaged with other networks' before its largest value is made 1."""
    places: tuple[tuple[int, int], ...]
    """Rows and columns of the feature map of each look: how fine the maps can be."""


@dataclass(frozen=True)
class MetadataRelevance:
    """What each source column of the metadata adds to the score, for some lesions."""

    columns: tuple[str, ...]
    attributions: Floats
    """(lesions, columns), signed; a column's inputs summed."""
    moved: Floats
    """(lesions,): the score less the score of the zero vector."""

    @property
    def scaled(self) -> Floats:
        """Absolute attributions, the largest of each lesion made 1."""
        return to_unit(np.abs(self.attributions))

    @property
    def error(self) -> Floats:
        """What the attributions add up to less `moved`: 0 if the integral were exact (completeness)."""
        return np.asarray(self.attributions.sum(axis=1) - self.moved, dtype=np.float64)


def to_unit(values: Floats) -> Floats:
    """Values that are not negative, divided by the largest of each lesion; all 0 stay 0."""
    largest = values.reshape(len(values), -1).max(axis=1, initial=0.0)
    divisor = np.where(largest > 0, largest, 1.0).reshape(-1, *[1] * (values.ndim - 1))
    return np.asarray(values / divisor, dtype=np.float64)


def score(logits: Tensor, towards: int) -> Tensor:
    """The score (N,) of one class from logits (N, 1) of two classes or (N, classes) of more."""
    if logits.shape[1] == 1:
        return logits[:, 0] if towards == 1 else -logits[:, 0]
    return logits[:, towards] - logits.mean(dim=1)


def scores(
    model: Network, recipe: ImageModelRecipe, lesions: Lesions, rows: Ints, towards: int, *, device: str = "auto"
) -> Floats:
    """The score of each lesion: what the explanations explain."""
    found = []
    for shown in _shown(model, recipe, lesions, rows, device):
        with torch.no_grad():
            found.append(score(shown.logits(model), towards).cpu().double())
    return np.asarray(torch.cat(found).numpy(), dtype=np.float64)


def heat_maps(
    model: Network, recipe: ImageModelRecipe, lesions: Lesions, rows: Ints, towards: int, *, device: str = "auto"
) -> Heat:
    """Grad-CAM of every look at the image, brought to the image's size and averaged over the looks."""
    found: list[Tensor] = []
    places: tuple[tuple[int, int], ...] = ()
    for shown in _shown(model, recipe, lesions, rows, device):
        assert shown.pixels is not None
        looks = grad_cam(model, shown.pixels, shown.metadata, towards)
        places = tuple((look.shape[1], look.shape[2]) for look in looks)
        found.append(torch.stack([_spread(look, recipe.image_size) for look in looks]).mean(dim=0).cpu().double())
    return Heat(np.asarray(torch.cat(found).numpy(), dtype=np.float64), places)


def attention_maps(
    model: Network, recipe: ImageModelRecipe, lesions: Lesions, rows: Ints, *, device: str = "auto"
) -> Floats | None:
    """Attention rollout at the image's size, (lesions, side, side); None for a network that is no transformer."""
    found = []
    for shown in _shown(model, recipe, lesions, rows, device):
        assert shown.pixels is not None
        maps = attention_rollout(model, shown.pixels)
        if maps is None:
            return None
        found.append(_spread(maps, recipe.image_size).cpu().double())
    return np.asarray(torch.cat(found).numpy(), dtype=np.float64)


def grad_cam(model: Network, pixels: Tensor, metadata: Tensor | None, towards: int) -> list[Tensor]:
    """One map (N, rows, columns) per look at the images, at the size of its feature map."""
    pixels = pixels.detach().clone().requires_grad_()

    def ask(images: Tensor, beside: Tensor | None) -> Tensor:
        return score(model(images, beside), towards)

    # A network that looks once takes the images at any size, as they are.
    sizes = model.sizes if isinstance(model, FusionModel) and len(model.sizes) > 1 else (pixels.shape[-1],)
    pictures = pixels.shape[1] // 3
    layers = [
        telling_layer(branch, ask, pixels[:1], _first(metadata), size=size)
        for branch, size in zip(model.branches, sizes, strict=False)
    ]
    looks = len(sizes)
    maps = []
    # Maps of different pictures have no place in common: those of the first are shown.
    for look in range(0, looks, pictures):
        # Branches take turns: a branch that stands alone looks as often as there are looks.
        branch, turn = look % len(layers), look // len(layers)
        turns = -(-(looks - branch) // len(layers))
        with watched(model.branches[branch], layers[branch], turn, turns) as watch:
            found = LayerGradCam(ask, watch).attribute(
                pixels, additional_forward_args=(metadata,), relu_attributions=True
            )
        maps.append(found.detach()[:, 0])
    return maps


def telling_layer(
    branch: ImageBranch,
    ask: Callable[[Tensor, Tensor | None], Tensor],
    pixels: Tensor,
    metadata: Tensor | None = None,
    *,
    size: int,
) -> nn.Module:
    """The last layer that gives a map of the shape of the backbone's features and whose places reach the answer.

    In most networks that is the last block. Where a class token is read out, the places of the last block reach
    nothing any more, and the layer is the last one before the class token attends to them. `size` is the side at which
    the branch looks first.
    """
    with torch.no_grad():
        shape = branch.backbone.forward_features(at_size(pixels[:, :3], size)).shape
    seen: list[tuple[nn.Module, Tensor]] = []

    def keep(layer: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.shape == shape:
            seen.append((layer, output))

    with ExitStack() as hooks:
        for layer in branch.backbone.modules():
            hooks.callback(layer.register_forward_hook(keep).remove)
        answer = ask(pixels, metadata).sum()
    if not seen:
        raise TrainingError(
            f"no layer of the backbone {type(branch.backbone).__name__} gives its feature map {tuple(shape)}: "
            "Grad-CAM has nothing to look at; leave this model out with --model"
        )
    gradients = torch.autograd.grad(answer, [output for _, output in seen], allow_unused=True)
    for (layer, _), gradient in reversed(list(zip(seen, gradients, strict=True))):
        if gradient is not None and bool(branch.maps(gradient).any()):
            return layer
    return seen[-1][0]


@contextmanager
def watched(branch: ImageBranch, layer: nn.Module, turn: int, turns: int) -> Iterator[nn.Module]:
    """Pass the layer's output through the yielded module as maps (N, C, H, W), which is how Grad-CAM reads it.

    The network's answer stays the same. Of a branch that looks `turns` times at every image, one turn is watched.
    """
    watch, calls = nn.Identity(), count()

    def through(_: nn.Module, __: Any, output: Tensor) -> Tensor | None:
        if next(calls) % turns != turn:
            return None
        maps = watch(branch.maps(output))
        if branch.layout == "maps":
            return maps  # type: ignore[no-any-return]
        if branch.layout == "maps_last":
            return maps.permute(0, 2, 3, 1)  # type: ignore[no-any-return]
        return torch.cat([output[:, : branch.prefix_tokens], maps.flatten(2).mT], dim=1)

    hook = layer.register_forward_hook(through)
    try:
        yield watch
    finally:
        hook.remove()


def metadata_relevance(
    model: Network,
    recipe: ImageModelRecipe,
    lesions: Lesions,
    rows: Ints,
    towards: int,
    *,
    steps: int = STEPS,
    device: str = "auto",
) -> MetadataRelevance:
    """Integrated gradients of the score along the straight way from the zero vector to the lesion's metadata.

    The image stays as it is. Zero is a lesion with the mean of every number and none of the known categories.
    """
    shape = model.metadata_shape
    if shape is None:
        raise ValueError(f"model {recipe.name!r} takes no metadata: there is nothing to attribute to")
    found, moved = [], []
    for shown in _shown(model, recipe, lesions, rows, device):
        metadata = shown.metadata
        assert metadata is not None
        with torch.no_grad():
            empty = metadata.new_zeros(len(metadata), 0)
            vectors = empty if shown.pixels is None or not model.branches else model.image_vectors(shown.pixels)

        def ask(numbers: Tensor, seen: Tensor) -> Tensor:
            return score(model.from_vectors(seen, numbers), towards)

        attributions = IntegratedGradients(ask).attribute(
            metadata, baselines=torch.zeros_like(metadata), additional_forward_args=(vectors,), n_steps=steps
        )
        with torch.no_grad():
            moved.append((ask(metadata, vectors) - ask(torch.zeros_like(metadata), vectors)).cpu().double())
        found.append(torch.stack([attributions[:, list(group)].sum(1) for group in shape.groups], 1).cpu().double())
    return MetadataRelevance(
        source_columns(recipe, shape),
        np.asarray(torch.cat(found).detach().numpy(), dtype=np.float64),
        np.asarray(torch.cat(moved).numpy(), dtype=np.float64),
    )


def source_columns(recipe: ImageModelRecipe, shape: MetadataShape) -> tuple[str, ...]:
    """What each group of inputs is made of: a column of the recipe, or where components stand first, by its inputs."""
    if not recipe.metadata.components:
        return recipe.metadata.columns
    rest = (shape.columns[group[0]].split(" = ")[0] for group in shape.groups[1:])
    return ("components", *rest)


def _shown(model: Network, recipe: ImageModelRecipe, lesions: Lesions, rows: Ints, device: str) -> Iterator[Shown]:
    """The lesions in batches as `predict` shows them, in float32; the model is put on the device in its eval mode."""
    place = choose_device(device)
    placed(model, recipe, place).eval()
    inputs = plain_inputs(recipe, lesions.seen_by(recipe), rows, Setup(place, "fp32"))
    with closing(inputs):
        for batch in overlapped(inputs, place):
            yield batch.shown


def _spread(look: Tensor, side: int) -> Tensor:
    """Maps (N, rows, columns) at a side of `side` pixels."""
    return functional.interpolate(look[:, None], size=(side, side), mode="bilinear", align_corners=False)[:, 0]


def _first(metadata: Tensor | None) -> Tensor | None:
    return None if metadata is None else metadata[:1]
