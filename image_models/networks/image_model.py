"""Whole networks: image branches below, a head above, logits out.

`ImageModel` is the one that most models are: one branch and a classifier. `FusionModel` has no, one or two branches
and one of the heads of `heads.py`. Both answer to the same names:

    forward(images, metadata) == from_vectors(image_vectors(images), metadata)

so that a frozen branch may be computed once and its vectors kept.
"""

from collections.abc import Sequence
from itertools import cycle

import torch
from torch import Tensor, nn

from image_models.networks.heads import classifier
from image_models.networks.image_branch import ImageBranch, Layout
from image_models.networks.metadata_shape import MetadataShape
from image_models.recipe import ImageModelRecipe
from image_models.resize import resized


class ImageModel(ImageBranch):
    """Images (N, 3, S, S), normalised, to logits: (N, 1) for two classes, (N, classes) for more."""

    metadata_shape: MetadataShape | None = None
    """What the network takes beside images: nothing."""

    def __init__(self, backbone: nn.Module, layout: Layout, head: str, recipe: ImageModelRecipe, outputs: int) -> None:
        super().__init__(backbone, layout, head, recipe.gem_kernels)
        self.drop = nn.Dropout(recipe.pooled_dropout)
        self.classifier = classifier(self.width, recipe, outputs)

    @property
    def branches(self) -> tuple[ImageBranch, ...]:
        """Networks that see images: itself."""
        return (self,)

    def image_vectors(self, images: Tensor) -> Tensor:
        """Return float32 vectors (N, width) of images, from below the classifier."""
        return self.vectors(images).float()

    def from_vectors(self, vectors: Tensor, metadata: Tensor | None = None) -> Tensor:
        """Return float32 logits; metadata is what fusion networks take, this one does not look at it."""
        # In bfloat16 a thousand lesions share some hundred logits: ties, which a ranking score pays for.
        with torch.autocast(vectors.device.type, enabled=False):
            logits: Tensor = self.classifier(self.drop(vectors))
        return logits

    def forward(self, images: Tensor, metadata: Tensor | None = None) -> Tensor:
        """Return float32 logits."""
        return self.from_vectors(self.image_vectors(images), metadata)


class FusionModel(nn.Module):
    """Images and metadata (N, m) to logits: (N, 1) for two classes, (N, classes) for more.

    Where branches look at several sizes, or one looks twice, they get the images resized; a single look takes any size
    that its branch takes. Of several pictures of a lesion (N, 3 x pictures, S, S) every look gets its own. A network
    without branches takes None for its images.
    """

    def __init__(
        self,
        branches: Sequence[ImageBranch],
        sizes: Sequence[int],
        head: nn.Module,
        shape: MetadataShape | None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.images = nn.ModuleList(branches)
        self.sizes = tuple(sizes)
        self.drop = nn.Dropout(dropout)
        self.head = head
        self.metadata_shape = shape

    @property
    def branches(self) -> tuple[ImageBranch, ...]:
        """Networks that see images; one that looks twice stands here once."""
        return tuple(branch for branch in self.images if isinstance(branch, ImageBranch))

    def image_vectors(self, images: Tensor) -> Tensor:
        """Return the branches' float32 vectors side by side, (N, summed widths); of a token fusion, (N, L, width)."""
        if len(self.sizes) == 1:
            return self.branches[0].vectors(images).float()
        looks = zip(cycle(self.branches), self.sizes, cycle(torch.split(images, 3, dim=1)), strict=False)
        parts = [branch.vectors(at_size(picture, size)) for branch, size, picture in looks]
        return torch.cat(parts, dim=1).float() if parts else images.new_zeros(len(images), 0).float()

    def from_vectors(self, vectors: Tensor, metadata: Tensor | None = None) -> Tensor:
        """Return float32 logits from what `image_vectors` gave."""
        self._check(metadata)
        with torch.autocast(vectors.device.type, enabled=False):
            logits: Tensor = self.head(self.drop(vectors), None if metadata is None else metadata.float())
        return logits

    def forward(self, images: Tensor | None, metadata: Tensor | None = None) -> Tensor:
        """Return float32 logits."""
        self._check(metadata)
        if self.images:
            assert images is not None
            return self.from_vectors(self.image_vectors(images), metadata)
        assert metadata is not None
        return self.from_vectors(metadata.new_zeros(len(metadata), 0), metadata)

    def _check(self, metadata: Tensor | None) -> None:
        """Refuse metadata of another width than the network was built for."""
        wanted = self.metadata_shape.width if self.metadata_shape else None
        if wanted is not None and (metadata is None or metadata.shape[1:] != (wanted,)):
            found = "none" if metadata is None else f"{tuple(metadata.shape)}"
            raise ValueError(f"the network takes metadata (N, {wanted}); it was given {found}")


Network = ImageModel | FusionModel
"""What `zoo.build` makes."""


def at_size(images: Tensor, size: int) -> Tensor:
    """Images brought to a side of `size` pixels, in float32 in between: CPUs cannot average down in bf16."""
    return images if images.shape[-1] == size else resized(images.float(), size).to(images.dtype)
