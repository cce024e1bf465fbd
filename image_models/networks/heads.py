"""From image vectors and metadata to logits: what stands above the image branches of a fusion network.

A head takes the image vectors (N, width) side by side, or a feature map's places as tokens (N, L, width), and the
encoded metadata (N, m). All of it is computed in float32 whatever the image branches use; see `image_model.py`. Heads
with a structure of their own are fusions, in `fusions/`.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from image_models.networks.metadata_branch import MetadataBranch
from image_models.networks.metadata_shape import MetadataShape
from image_models.recipe import ImageModelRecipe


def classifier(inputs: int, recipe: ImageModelRecipe, outputs: int) -> nn.Sequential:
    """Return dropout and the output layer, behind a fully connected layer unless `hidden` is 0."""
    hidden = recipe.hidden
    widening: list[nn.Module] = []
    if recipe.classifier == "batch_norm":
        widening = [nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.ReLU()]
    elif recipe.classifier == "softmax":
        widening = [nn.Softmax(dim=1), nn.Linear(inputs, hidden), nn.ReLU()]
    elif hidden:
        widening = [nn.Linear(inputs, hidden), nn.GELU()]
    return nn.Sequential(*widening, nn.Dropout(recipe.dropout), nn.Linear(hidden or inputs, outputs))


class ImagesHead(nn.Module):
    """Image vectors alone, side by side, to the classifier."""

    def __init__(self, image_width: int, recipe: ImageModelRecipe, outputs: int) -> None:
        super().__init__()
        self.classifier = classifier(image_width, recipe, outputs)

    def forward(self, vectors: Tensor, metadata: Tensor | None) -> Tensor:
        """Return logits; metadata is not looked at."""
        logits: Tensor = self.classifier(vectors)
        return logits


class MetadataHead(nn.Module):
    """Metadata alone: its branch and the classifier."""

    def __init__(self, shape: MetadataShape, recipe: ImageModelRecipe, outputs: int) -> None:
        super().__init__()
        self.metadata = MetadataBranch(shape.width, recipe.metadata.widths)
        self.classifier = classifier(self.metadata.width, recipe, outputs)

    def forward(self, vectors: Tensor, metadata: Tensor) -> Tensor:
        """Return logits; the vectors are empty."""
        logits: Tensor = self.classifier(self.metadata(metadata))
        return logits


class FusionHead(nn.Module):
    """The metadata branch, a fusion of its vector with the image's, and the classifier."""

    def __init__(
        self,
        fusion: Callable[[int, int], nn.Module],
        image_width: int,
        shape: MetadataShape,
        recipe: ImageModelRecipe,
        outputs: int,
    ) -> None:
        """`fusion` is made from the widths of both vectors and has the `width` of what it gives."""
        super().__init__()
        self.metadata = MetadataBranch(shape.width, recipe.metadata.widths)
        fused: Any = fusion(image_width, self.metadata.width)
        self.fusion = fused
        self.classifier = classifier(fused.width, recipe, outputs)

    def forward(self, vectors: Tensor, metadata: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.classifier(self.fusion(vectors, self.metadata(metadata)))
        return logits
