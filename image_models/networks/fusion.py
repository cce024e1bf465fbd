"""Eight ways to make one vector of an image's vector x and a metadata vector y.

Each takes x (N, a) and y (N, b), any widths, and gives (N, width). Where a formula needs certain widths, x' = A x + a0
and y' = B y + b0 stand for linear layers to the width named there: every image branch goes with every metadata branch.
Published with DermiResNet; what that study leaves open (widths, number of tokens) is chosen here and said so.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from image_models.networks.attention import Attention

TENSOR_WIDTH = 32
"""Of x' and y' in the outer product: 33 x 33 numbers; at 256 the layer behind it would have millions of weights."""

BILINEAR_WIDTH = 64
"""Of x' and y' in the bilinear form: 64 x 64 weights per number of the result."""

CROSS_TOKENS = 8
"""Tokens per vector in cross-attention. With one, the softmax over a single key is 1 and nothing is attended to."""

SMALLEST_TOKEN = 8
"""Layer norm leaves nothing of a token of one number, and a sign of a token of two."""


class Concatenation(nn.Module):
    """z = [x; y], a + b wide."""

    def __init__(self, image_width: int, metadata_width: int) -> None:
        super().__init__()
        self.width = image_width + metadata_width

    def forward(self, image: Tensor, metadata: Tensor) -> Tensor:
        """Put one beside the other."""
        return torch.cat([image, metadata], dim=1)


class WeightedConcatenation(nn.Module):
    """z = [u x; v y], the scalars u and v learnable and 1 at first."""

    def __init__(self, image_width: int, metadata_width: int) -> None:
        super().__init__()
        self.width = image_width + metadata_width
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, image: Tensor, metadata: Tensor) -> Tensor:
        """Put one beside the other, each scaled."""
        return torch.cat([self.weight[0] * image, self.weight[1] * metadata], dim=1)


class Hadamard(nn.Module):
    """z = x' * y' number by number; x', y' and z as wide as y."""

    def __init__(self, image_width: int, metadata_width: int) -> None:
        super().__init__()
        self.width = metadata_width
        self.image = nn.Linear(image_width, metadata_width)
        self.metadata = nn.Linear(metadata_width, metadata_width)

    def forward(self, image: Tensor, metadata: Tensor) -> Tensor:
        """Multiply."""
        product: Tensor = self.image(image) * self.metadata(metadata)
        return product


class TensorProduct(nn.Module):
    """z = all products of a number of [x'; 1] and a number of [y'; 1]; x' and y' are TENSOR_WIDTH wide.

    The ones keep x' and y' themselves among the products (Zadeh et al. 2017, tensor fusion network).
    """

    def __init__(self, image_width: int, metadata_width: int) -> None:
        super().__init__()
        self.width = (TENSOR_WIDTH + 1) ** 2
        self.image = nn.Linear(image_width, TENSOR_WIDTH)
        self.metadata = nn.Linear(metadata_width, TENSOR_WIDTH)

    def forward(self, image: Tensor, metadata: Tensor) -> Tensor:
        """Take the outer product."""
        one = image.new_ones(len(image), 1)
        rows, columns = torch.cat([self.image(image), one], 1), torch.cat([self.metadata(metadata), one], 1)
        return (rows[:, :, None] * columns[:, None, :]).flatten(1)


class Bilinear(nn.Module):
    """z_k = x'^T W_k y' + c_k; x' and y' are BILINEAR_WIDTH wide, z as wide as y."""

    def __init__(self, image_width: int, metadata_width: int) -> None:
        super().__init__()
        self.width = metadata_width
        self.image = nn.Linear(image_width, BILINEAR_WIDTH)
        self.metadata = nn.Linear(metadata_width, BILINEAR_WIDTH)
        self.form = nn.Bilinear(BILINEAR_WIDTH, BILINEAR_WIDTH, metadata_width)

    def forward(self, image: Tensor, metadata: Tensor) -> Tensor:
        """Evaluate the bilinear forms."""
        values: Tensor = self.form(self.image(image), self.metadata(metadata))
        return values


class Gated(nn.Module):
    """z = g * x' + (1 - g) * y', g = sigmoid(W_x x' + W_y y' + c); all as wide as y."""

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


class SelfAttention(nn.Module):
    """T = [x'; y'], two tokens as wide as y; z = LayerNorm(T + Attention(T, T)), token beside token."""

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


class CrossAttention(nn.Module):
    """z = LayerNorm(X + Attention(X, Y)), token beside token: the image asks, the metadata answers.

    X and Y are x' and y' cut into CROSS_TOKENS tokens each; a token is an eighth of y wide, at least
    SMALLEST_TOKEN.
    """

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


VectorFusion = (
    Concatenation | WeightedConcatenation | Hadamard | TensorProduct | Bilinear | Gated | SelfAttention | CrossAttention
)

FUSIONS: dict[str, Callable[[int, int], VectorFusion]] = {
    "concatenation": Concatenation,
    "weighted_concatenation": WeightedConcatenation,
    "hadamard": Hadamard,
    "tensor": TensorProduct,
    "bilinear": Bilinear,
    "gated": Gated,
    "self_attention": SelfAttention,
    "cross_attention": CrossAttention,
}
"""By the recipe's name. Fusions that need more than two vectors are heads of their own, in `heads.py`."""
