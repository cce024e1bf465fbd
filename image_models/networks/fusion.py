"""What a fusion is: a class that makes one vector of an image's and a metadata's, and says what it is called."""

from typing import ClassVar

from torch import nn

from image_models.networks.heads import FusionHead
from image_models.networks.metadata_shape import MetadataShape
from image_models.recipe import ImageModelRecipe


class Fusion(nn.Module):
    """Image vectors x (N, a) and metadata vectors y (N, b) to vectors (N, width); made from a and b."""

    name: ClassVar[str]
    """What recipes call it, and the name of its file."""
    places: ClassVar[bool] = False
    """Whether it takes the places of the feature map, (N, L, a), rather than one vector per image."""
    width: int

    @classmethod
    def head(cls, image_width: int, shape: MetadataShape, recipe: ImageModelRecipe, outputs: int) -> nn.Module:
        """Return what stands above the image branches: a metadata branch, this fusion and a classifier."""
        return FusionHead(cls, image_width, shape, recipe, outputs)
