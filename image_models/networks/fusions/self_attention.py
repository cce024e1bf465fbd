"""Image and metadata as two tokens that attend to each other."""

import torch
from torch import Tensor, nn

from image_models.networks.attention import Attention
from image_models.networks.fusion import Fusion


class SelfAttention(Fusion):
    """T = [x'; y'], two tokens as wide as y; z = LayerNorm(T + Attention(T, T)), token beside token."""

    name = "self_attention"

    def __init__(self, image_width: int, metadata_width: int) -> None:
        super().__init__()
        self.width = 2 * metadata_width
        self.image = nn.Linear(image_width, metadata_width)
        self.metadata = nn.Linear(metadata_width, metadata_width)
        self.attention = Attention(metadata_width)
        self.norm = nn.LayerNorm(metadata_width)

    def forward(self, image: Tensor, metadata: Tensor) -> Tensor:
        """Let the two tokens attend to each other and to themselves."""
        tokens = torch.stack([self.image(image), self.metadata(metadata)], dim=1)
        attended: Tensor = self.norm(tokens + self.attention(tokens, tokens))
        return attended.flatten(1)


FUSION = SelfAttention
