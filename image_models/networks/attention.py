"""Scaled dot-product attention with its four linear layers, as fusions and pooling use it."""

from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Tokens that ask tokens: softmax(Q K^T / sqrt(d)) V for every head, put side by side and brought back to width.

    Q = asking W_q; K = asked W_k and V = asked W_v. timm's attention asks only itself, and PyTorch's own layer needs
    heads that divide the width.
    """

    def __init__(self, width: int, heads: int = 4, head_width: int = 64) -> None:
        super().__init__()
        self.heads = heads
        inner = heads * head_width
        self.query = nn.Linear(width, inner)
        self.key = nn.Linear(width, inner, bias=False)  # one would add the same to all scores of a query
        self.value = nn.Linear(width, inner)
        self.out = nn.Linear(inner, width)

    def forward(self, asking: Tensor, asked: Tensor) -> Tensor:
        """Tokens (N, L, width) and (N, M, width) to (N, L, width)."""
        query, key, value = (
            layer(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer, tokens in ((self.query, asking), (self.key, asked), (self.value, asked))
        )
        answers = functional.scaled_dot_product_attention(query, key, value)
        result: Tensor = self.out(answers.transpose(1, 2).flatten(2))
        return result
