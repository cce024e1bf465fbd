"""Image and metadata vector side by side, each scaled."""

import torch
from torch import Tensor, nn

from image_models.networks.fusion import Fusion


class WeightedConcatenation(Fusion):
    """z = [u x; v y], the scalars u and v learnable and 1 at first."""

    name = "weighted_concatenation"

    def __init__(self, image_width: int, metadata_width: int) -> None:
        super().__init__()
        self.width = image_width + metadata_width
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, image: Tensor, metadata: Tensor) -> Tensor:
        """Put one beside the other, each scaled."""
        return torch.cat([self.weight[0] * image, self.weight[1] * metadata], dim=1)


FUSION = WeightedConcatenation
