"""Tokens of the image attend to tokens of the metadata."""

from torch import Tensor, nn

from image_models.networks.attention import Attention
from image_models.networks.fusion import Fusion

CROSS_TOKENS = 8
"""Tokens per vector in cross-attention. With one, the softmax over a single key is 1 and nothing is attended to."""

SMALLEST_TOKEN = 8
"""Layer norm leaves nothing of a token of one number, and a sign of a token of two."""


class CrossAttention(Fusion):
    """z = LayerNorm(X + Attention(X, Y)), token beside token: the image asks, the metadata answers.

    X and Y are x' and y' cut into CROSS_TOKENS tokens each; a token is an eighth of y wide, at least
    SMALLEST_TOKEN.
    """

    name = "cross_attention"

    def __init__(self, image_width: int, metadata_width: int) -> None:
        super().__init__()
        token_width = max(-(-metadata_width // CROSS_TOKENS), SMALLEST_TOKEN)
        self.width = CROSS_TOKENS * token_width
        self.image = nn.Linear(image_width, self.width)
        self.metadata = nn.Linear(metadata_width, self.width)
        self.attention = Attention(token_width)
        self.norm = nn.LayerNorm(token_width)

    def forward(self, image: Tensor, metadata: Tensor) -> Tensor:
        """Let the image's tokens attend to the metadata's."""
        asking = self.image(image).unflatten(1, (CROSS_TOKENS, -1))
        asked = self.metadata(metadata).unflatten(1, (CROSS_TOKENS, -1))
        attended: Tensor = self.norm(asking + self.attention(asking, asked))
        return attended.flatten(1)


FUSION = CrossAttention
