"""A trained network as an ONNX file: packed pixels and metadata in, logits out, normalisation and resizing inside."""

import copy
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from data.errors import TrainingError
from image_models.networks.image_model import FusionModel, Network
from image_models.recipe import ImageModelRecipe
from image_models.resize import resized, shrunk
from image_models.training.augment import IMAGENET_MEAN, IMAGENET_STD, planar

OPSET = 18
"""The first that averages images down as torch does."""
IMAGES, METADATA, LOGITS = "images", "metadata", "logits"


class SpelledForm(nn.Module):
    """A bilinear form as products and sums, for which ONNX has operators."""

    def __init__(self, form: nn.Bilinear) -> None:
        super().__init__()
        self.form = form

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Evaluate it."""
        return torch.einsum("ni,kij,nj->nk", one, self.form.weight, other) + self.form.bias


class Packaged(nn.Module):
    """Uint8 images (N, side, side, 3 for each picture) as packed, metadata (N, m), or both, to float32 logits."""

    def __init__(self, network: Network, recipe: ImageModelRecipe, half: bool) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        for owner in list(self.network.modules()):
            for name, part in owner.named_children():
                if isinstance(part, nn.Bilinear):
                    setattr(owner, name, SpelledForm(part))
        self.side, self.seeing = recipe.input_size, recipe.backbone != "none"
        self.dtype = torch.float16 if half else torch.float32
        normal = (torch.tensor(one).repeat(pictures_of(recipe)) for one in (IMAGENET_MEAN, IMAGENET_STD))
        self.mean, self.std = (one[:, None, None] for one in normal)
        if half:
            # As a GPU does it: what sees images in half precision, what stands above in single.
            for branch in self.network.branches:
                branch.half()
            (self.network.head if isinstance(self.network, FusionModel) else self.network.classifier).float()
        self.eval()

    def forward(self, *given: Tensor) -> Tensor:
        """Return logits."""
        if not self.seeing:
            return self.network(None, given[0])  # type: ignore[no-any-return]
        # As `prepare` does it, which makes a matrix for each image: a batch of another size would not fit it.
        pixels = (shrunk(planar(given[0]), self.side) / 255 - self.mean) / self.std
        pixels = resized(pixels, self.side).to(self.dtype)
        logits: Tensor = self.network(pixels, given[1] if len(given) > 1 else None)
        return logits.float()


def pictures_of(recipe: ImageModelRecipe) -> int:
    """How many pictures of a lesion lie beside each other in what the network is given."""
    return max(1, len(recipe.pictures))


def write_onnx(network: Network, recipe: ImageModelRecipe, side: int, path: Path, *, half: bool = False) -> None:
    """Write a network that takes images of `side` pixels and batches of any size."""
    try:
        import onnx  # noqa: F401 - torch asks for it
    except ImportError as error:
        raise TrainingError("ONNX files need the packages of the extra [onnx]: pip install fusionnetx[onnx]") from error
    given: list[Tensor] = []
    names: list[str] = []
    # Two lesions: a batch of one would be taken for a constant.
    if recipe.backbone != "none":
        given.append(torch.zeros(2, side, side, 3 * pictures_of(recipe), dtype=torch.uint8))
        names.append(IMAGES)
    if network.metadata_shape is not None:
        given.append(torch.zeros(2, network.metadata_shape.width))
        names.append(METADATA)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        # By tracing: the exporter that reads Python takes thirty times as long and gives the same numbers.
        torch.onnx.export(
            Packaged(network, recipe, half),
            tuple(given),
            str(path),
            input_names=names,
            output_names=[LOGITS],
            dynamic_axes={name: {0: "batch"} for name in (*names, LOGITS)},
            opset_version=OPSET,
            dynamo=False,
        )
