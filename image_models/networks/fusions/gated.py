"""A gate that chooses between image and metadata, number by number."""

import torch
from torch import Tensor, nn

from image_models.networks.fusion import Fusion


class Gated(Fusion):
    """z = g * x' + (1 - g) * y', g = sigmoid(W_x x' + W_y y' + c); all as wide as y."""

    name = "gated"

    def __init__(self, image_width: int, metadata_width: int) -> None:
        super().__init__()
        self.width = metadata_width
        self.image = nn.Linear(image_width, metadata_width)
        self.metadata = nn.Linear(metadata_width, metadata_width)
        self.image_gate = nn.Linear(metadata_width, metadata_width)
        self.metadata_gate = nn.Linear(metadata_width, metadata_width, bias=False)

    def forward(self, image: Tensor, metadata: Tensor) -> Tensor:
        """Let the gate choose between the two, number by number."""
        image, metadata = self.image(image), self.metadata(metadata)
        gate = torch.sigmoid(self.image_gate(image) + self.metadata_gate(metadata))
        return torch.lerp(metadata, image, gate)


FUSION = Gated
