"""Places of the lesion and columns of the metadata as tokens that attend to each other."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from image_models.networks.attention import Attention
from image_models.networks.heads import classifier
from image_models.networks.metadata_branch import MetadataBranch
from image_models.networks.metadata_shape import MetadataShape
from image_models.recipe import ImageModelRecipe


class TokenCrossAttention(nn.Module):
    """Places of the lesion and columns of the metadata attend to each other.

    Image tokens I = A i + a for every place i of the feature map; metadata tokens M, one per source column, each from a
    branch of its own; all as wide as the metadata branch.
    z = [mean of LayerNorm(I + Attention(I, M)); mean of LayerNorm(M + Attention(M, I))].
    """

    name: ClassVar = "token_cross_attention"
    places: ClassVar = True
    order: Tensor

    @classmethod
    def head(cls, image_width: int, shape: MetadataShape, recipe: ImageModelRecipe, outputs: int) -> nn.Module:
        """Return what stands above the image branch: itself."""
        return cls(image_width, shape, recipe, outputs)

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
        places = self.image(vectors)  # (N, L, w), w the metadata branch's width
        parts = torch.split(metadata[:, self.order], self.group_sizes, dim=1)
        branches = zip(self.columns, parts, strict=True)
        facts = torch.stack([branch(part) for branch, part in branches], dim=1)  # (N, columns, w)
        seen = self.image_norm(places + self.image_asks(places, facts)).mean(dim=1)
        known = self.metadata_norm(facts + self.metadata_asks(facts, places)).mean(dim=1)
        logits: Tensor = self.classifier(torch.cat([seen, known], dim=1))
        return logits


FUSION = TokenCrossAttention
