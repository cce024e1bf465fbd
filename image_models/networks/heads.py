"""From image vectors and metadata to logits: what stands above the image branches of a fusion network.

A head takes the image vectors (N, width) side by side, or a feature map's places as tokens (N, L, width), and the
encoded metadata (N, m). All of it is computed in float32 whatever the image branches use; see `image_model.py`.
"""

import torch
from torch import Tensor, nn

from image_models.networks.attention import Attention
from image_models.networks.fusion import FUSIONS
from image_models.networks.metadata_branch import MetadataBranch
from image_models.networks.metadata_shape import MetadataShape
from image_models.recipe import ImageModelRecipe


def classifier(inputs: int, recipe: ImageModelRecipe, outputs: int) -> nn.Sequential:
    """Return dropout and the output layer, behind a fully connected layer unless `hidden` is 0."""
    hidden = recipe.hidden
    widening: list[nn.Module] = []
    if recipe.classifier == "batch_norm":
        widening = [nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.ReLU()]
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
    """The metadata branch, one of the eight fusions, and the classifier."""

    def __init__(self, image_width: int, shape: MetadataShape, recipe: ImageModelRecipe, outputs: int) -> None:
        super().__init__()
        self.metadata = MetadataBranch(shape.width, recipe.metadata.widths)
        self.fusion = FUSIONS[recipe.fusion](image_width, self.metadata.width)
        self.classifier = classifier(self.fusion.width, recipe, outputs)

    def forward(self, vectors: Tensor, metadata: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.classifier(self.fusion(vectors, self.metadata(metadata)))
        return logits


class SiteHead(nn.Module):
    """One classifier per anatomical site on a shared vector z = [x; y]: logits = sum_k w_k classifier_k(z).

    y comes from the metadata other than the site, if there is any. w is the one-hot of the lesion's site; where the
    site is missing, or one that training never saw, w is a learned mixture of all branches, at first their mean.
    """

    others: Tensor
    sites: Tensor

    def __init__(self, image_width: int, shape: MetadataShape, recipe: ImageModelRecipe, outputs: int) -> None:
        super().__init__()
        others = [position for position in range(shape.width) if position not in shape.sites]
        self.register_buffer("others", torch.tensor(others, dtype=torch.int64), persistent=False)
        self.register_buffer("sites", torch.tensor(shape.sites, dtype=torch.int64), persistent=False)
        self.metadata = MetadataBranch(len(others), recipe.metadata.widths) if others else None
        width = image_width + (self.metadata.width if self.metadata else 0)
        self.classifiers = nn.ModuleList(classifier(width, recipe, outputs) for _ in shape.sites)
        self.mixture = nn.Parameter(torch.zeros(len(shape.sites)))

    def forward(self, vectors: Tensor, metadata: Tensor) -> Tensor:
        """Return logits."""
        if self.metadata is not None:
            vectors = torch.cat([vectors, self.metadata(metadata[:, self.others])], dim=1)
        known = metadata[:, self.sites]
        weights = known + (1 - known.sum(1, keepdim=True)) * self.mixture.softmax(0)
        logits = torch.stack([branch(vectors) for branch in self.classifiers], dim=1)
        return (weights[:, :, None] * logits).sum(dim=1)


class TokenCrossAttentionHead(nn.Module):
    """Places of the lesion and columns of the metadata attend to each other.

    Image tokens I = A i + a for every place i of the feature map; metadata tokens M, one per source column, each from a
    branch of its own; all as wide as the metadata branch.
    z = [mean of LayerNorm(I + Attention(I, M)); mean of LayerNorm(M + Attention(M, I))].
    """

    order: Tensor

    def __init__(self, image_width: int, shape: MetadataShape, recipe: ImageModelRecipe, outputs: int) -> None:
        super().__init__()
        widths = recipe.metadata.widths
        self.group_sizes = [len(group) for group in shape.groups]
        order = [position for group in shape.groups for position in group]
        self.register_buffer("order", torch.tensor(order, dtype=torch.int64), persistent=False)
        self.columns = nn.ModuleList(MetadataBranch(size, widths) for size in self.group_sizes)
        self.image = nn.Linear(image_width, widths[-1])
        self.image_asks, self.metadata_asks = Attention(widths[-1]), Attention(widths[-1])
        self.image_norm, self.metadata_norm = nn.LayerNorm(widths[-1]), nn.LayerNorm(widths[-1])
        self.classifier = classifier(2 * widths[-1], recipe, outputs)

    def forward(self, vectors: Tensor, metadata: Tensor) -> Tensor:
        """Return logits from image tokens (N, L, width)."""
        places = self.image(vectors)
        parts = torch.split(metadata[:, self.order], self.group_sizes, dim=1)
        facts = torch.stack([branch(part) for branch, part in zip(self.columns, parts, strict=True)], dim=1)
        seen = self.image_norm(places + self.image_asks(places, facts)).mean(dim=1)
        told = self.metadata_norm(facts + self.metadata_asks(facts, places)).mean(dim=1)
        logits: Tensor = self.classifier(torch.cat([seen, told], dim=1))
        return logits
