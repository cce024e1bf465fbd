"""One classifier per anatomical site."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from data.errors import RecipeError
from image_models.networks.heads import classifier
from image_models.networks.metadata_branch import MetadataBranch
from image_models.networks.metadata_shape import MetadataShape
from image_models.recipe import ImageModelRecipe


class SiteBranches(nn.Module):
    """One classifier per anatomical site on a shared vector z = [x; y]: logits = sum_k w_k classifier_k(z).

    y comes from the metadata other than the site, if there is any. w is the one-hot of the lesion's site; where the
    site is missing, or one that training never saw, w is a learned mixture of all branches, at first their mean.
    """

    name: ClassVar = "site_branches"
    places: ClassVar = False
    others: Tensor
    sites: Tensor

    @classmethod
    def head(cls, image_width: int, shape: MetadataShape, recipe: ImageModelRecipe, outputs: int) -> nn.Module:
        """Return what stands above the image branches: itself."""
        if shape.sites:
            return cls(image_width, shape, recipe, outputs)
        raise RecipeError(
            f"model {recipe.name!r}: site_column = {recipe.site_column!r} names no site in the training lesions; it "
            "must be a column of categories with at least one value"
        )

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


FUSION = SiteBranches
