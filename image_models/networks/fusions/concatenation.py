"""Image and metadata vector side by side."""

import torch
from torch import Tensor

from image_models.networks.fusion import Fusion


class Concatenation(Fusion):
    """z = [x; y], a + b wide."""

    name = "concatenation"

    def __init__(self, image_width: int, metadata_width: int) -> None:
        super().__init__()
        self.width = image_width + metadata_width

    def forward(self, image: Tensor, metadata: Tensor) -> Tensor:
        """Put one beside the other."""
        return torch.cat([image, metadata], dim=1)


FUSION = Concatenation
