"""Every fusion against its formula, written out as loops over single numbers in float64."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from image_models.networks.attention import Attention
from image_models.networks.fusion import Fusion
from image_models.networks.fusions.cross_attention import CROSS_TOKENS
from image_models.networks.registries import FUSIONS as EVERY_FUSION

Vector = list[float]
LESIONS, IMAGE, METADATA = 3, 5, 12
FUSIONS = {name: fusion for name, fusion in EVERY_FUSION.items() if issubclass(fusion, Fusion)}
"""Those of two vectors; the other two are heads, in `test_heads.py`."""


def linear(layer: nn.Linear, vector: Vector) -> Vector:
    bias = layer.bias.tolist() if layer.bias is not None else [0.0] * layer.out_features
    return [
        sum(w * v for w, v in zip(row, vector, strict=True)) + b
        for row, b in zip(layer.weight.tolist(), bias, strict=True)
    ]


def layer_norm(layer: nn.LayerNorm, vector: Vector) -> Vector:
    mean = sum(vector) / len(vector)
    variance = sum((v - mean) ** 2 for v in vector) / len(vector)
    scaled = [(v - mean) / math.sqrt(variance + layer.eps) for v in vector]
    return [v * w + b for v, w, b in zip(scaled, layer.weight.tolist(), layer.bias.tolist(), strict=True)]


def attention(layer: Attention, asking: list[Vector], asked: list[Vector]) -> list[Vector]:
    queries = [linear(layer.query, token) for token in asking]
    keys, values = [linear(layer.key, t) for t in asked], [linear(layer.value, t) for t in asked]
    width = len(queries[0]) // layer.heads
    answers = []
    for query in queries:
        answer: Vector = []
        for head in range(layer.heads):
            part = slice(head * width, (head + 1) * width)
            scores = [
                math.exp(sum(q * k for q, k in zip(query[part], key[part], strict=True)) / math.sqrt(width))
                for key in keys
            ]
            shares = [score / sum(scores) for score in scores]
            for place in range(head * width, (head + 1) * width):
                answer.append(sum(share * value[place] for share, value in zip(shares, values, strict=True)))
        answers.append(linear(layer.out, answer))
    return answers


def attended(fusion: Any, asking: list[Vector], asked: list[Vector]) -> Vector:
    answers = attention(fusion.attention, asking, asked)
    return [
        number
        for token, answer in zip(asking, answers, strict=True)
        for number in layer_norm(fusion.norm, [t + a for t, a in zip(token, answer, strict=True)])
    ]


def concatenation(fusion: Any, x: Vector, y: Vector) -> Vector:
    return x + y


def weighted_concatenation(fusion: Any, x: Vector, y: Vector) -> Vector:
    u, v = fusion.weight.tolist()
    return [u * number for number in x] + [v * number for number in y]


def hadamard(fusion: Any, x: Vector, y: Vector) -> Vector:
    return [a * b for a, b in zip(linear(fusion.image, x), linear(fusion.metadata, y), strict=True)]


def tensor(fusion: Any, x: Vector, y: Vector) -> Vector:
    return [a * b for a in [*linear(fusion.image, x), 1.0] for b in [*linear(fusion.metadata, y), 1.0]]


def bilinear(fusion: Any, x: Vector, y: Vector) -> Vector:
    x, y = linear(fusion.image, x), linear(fusion.metadata, y)
    result = []
    for form, offset in zip(fusion.form.weight.tolist(), fusion.form.bias.tolist(), strict=True):
        result.append(offset + sum(x[i] * form[i][j] * y[j] for i in range(len(x)) for j in range(len(y))))
    return result


def gated(fusion: Any, x: Vector, y: Vector) -> Vector:
    x, y = linear(fusion.image, x), linear(fusion.metadata, y)
    sums = zip(linear(fusion.image_gate, x), linear(fusion.metadata_gate, y), strict=True)
    gates = [1 / (1 + math.exp(-(a + b))) for a, b in sums]
    return [g * a + (1 - g) * b for g, a, b in zip(gates, x, y, strict=True)]


def self_attention(fusion: Any, x: Vector, y: Vector) -> Vector:
    tokens = [linear(fusion.image, x), linear(fusion.metadata, y)]
    return attended(fusion, tokens, tokens)


def cross_attention(fusion: Any, x: Vector, y: Vector) -> Vector:
    x, y = linear(fusion.image, x), linear(fusion.metadata, y)
    width = len(x) // CROSS_TOKENS
    cut = [[vector[t * width : (t + 1) * width] for t in range(CROSS_TOKENS)] for vector in (x, y)]
    return attended(fusion, cut[0], cut[1])


LOOPS: dict[str, Callable[[Any, Vector, Vector], Vector]] = {
    loop.__name__: loop
    for loop in (
        *(concatenation, weighted_concatenation, hadamard, tensor, bilinear, gated),
        *(self_attention, cross_attention),
    )
}


def lively(module: nn.Module) -> Any:
    """Float64, with no weight left at a value that hides a mistake."""
    for parameter in module.double().parameters():
        nn.init.normal_(parameter, 0.1, 0.4)
    return module


def pair(lesions: int = LESIONS) -> tuple[Tensor, Tensor]:
    return torch.randn(lesions, IMAGE).double(), torch.randn(lesions, METADATA).double()


def test_all_eight_are_tested() -> None:
    assert LOOPS.keys() == FUSIONS.keys()


@pytest.mark.parametrize("name", FUSIONS)
def test_a_fusion_is_its_formula(name: str) -> None:
    torch.manual_seed(0)
    fusion = lively(FUSIONS[name](IMAGE, METADATA))
    image, metadata = pair()
    with torch.no_grad():
        found = fusion(image, metadata).numpy()
    by_hand = [LOOPS[name](fusion, x, y) for x, y in zip(image.tolist(), metadata.tolist(), strict=True)]
    assert found.shape == (LESIONS, fusion.width)
    np.testing.assert_allclose(found, by_hand, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", FUSIONS)
def test_both_inputs_and_every_parameter_take_part(name: str) -> None:
    torch.manual_seed(1)
    fusion = lively(FUSIONS[name](IMAGE, METADATA))
    inputs = [part.requires_grad_() for part in pair()]
    (fusion(*inputs) ** 2).sum().backward()
    for gradient in (*(part.grad for part in inputs), *(parameter.grad for parameter in fusion.parameters())):
        assert gradient is not None
        assert gradient.abs().max() > 1e-12


@pytest.mark.parametrize("name", FUSIONS)
@pytest.mark.parametrize(("image_width", "metadata_width"), [(1, 1), (3, 7), (70, 16)])
def test_any_widths_go_together(name: str, image_width: int, metadata_width: int) -> None:
    fusion: Any = FUSIONS[name](image_width, metadata_width)
    assert fusion(torch.randn(2, image_width), torch.zeros(2, metadata_width)).shape == (2, fusion.width)


def test_cross_attention_really_chooses() -> None:
    """The answer depends on the question: with a single key it would not."""
    torch.manual_seed(2)
    fusion = lively(FUSIONS["cross_attention"](IMAGE, METADATA))
    image, metadata = pair(2)
    seen = [fusion.image(image[[row]]).unflatten(1, (CROSS_TOKENS, -1)) for row in (0, 1)]
    told = fusion.metadata(metadata[[0]]).unflatten(1, (CROSS_TOKENS, -1))
    answers = [fusion.attention(asking, told) for asking in seen]
    assert (answers[0] - answers[1]).abs().max() > 1e-3


def test_attention_has_four_layers_of_its_own() -> None:
    weights = sum(parameter.numel() for parameter in Attention(6, heads=2, head_width=5).parameters())
    assert weights == 4 * 6 * 10 + 10 + 10 + 6
