"""From feature maps or tokens to one vector per image: multi-scale generalised mean, averages, self-attention.

Sums over places are taken and kept in float32 whatever format the backbone computes in: in bfloat16 a mean would be
known to four parts in a thousand, and the classifier behind it computes in float32 anyway.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from image_models.networks.attention import Attention

SMALLEST_FEATURE = 1e-6
"""Features are clamped here before the power, so that p may be any number and gradients stay finite."""

P_RANGE = (1.0, 8.0)
"""Below 1 the mean would favour the weakest features. Above 8 float32 powers no longer tell values below 5e-5 of the
map's largest apart."""


def windowed_gem(maps: Tensor, p: Tensor, kernel: int) -> Tensor:
    """Generalised mean (mean of x^p)^(1/p) over every kernel x kernel window of maps (N, C, H, W).

    Stride 1, same size; a window at the border averages what it really covers. Every map is divided by its largest
    value first and multiplied by it afterwards (the mean is homogeneous), so that no power overflows.
    """
    maps = maps.clamp(min=SMALLEST_FEATURE)
    largest = maps.detach().amax(dim=(2, 3), keepdim=True)
    lowest = math.log(torch.finfo(maps.dtype).tiny) + 7  # stays clear of subnormal numbers after averaging
    powers = (p * (maps / largest).log()).clamp(min=lowest).exp()
    means = functional.avg_pool2d(powers, kernel, stride=1, padding=kernel // 2, count_include_pad=False)
    return largest * (means.log() / p).exp()


class MultiScaleGeM(nn.Module):
    """Weighted sum of windowed generalised means at several window sizes, then the average over the map.

    X_ms = sum over kernels k of w_k GeM_k(X), every p_k and w_k learnable (FusionNetX). Maps (N, C, H, W) to (N, C);
    powers are taken, and vectors given, in float32 or better, whatever autocast says.
    """

    def __init__(self, kernels: tuple[int, ...] = (3, 5), p: float = 3.0) -> None:
        super().__init__()
        if not kernels or any(kernel < 1 or kernel % 2 == 0 for kernel in kernels):
            raise ValueError(f"kernels = {kernels}: odd window sizes, at least one")
        self.kernels = kernels
        self.p = nn.Parameter(torch.full((len(kernels),), p))
        self.weight = nn.Parameter(torch.full((len(kernels),), 1 / len(kernels)))

    def forward(self, maps: Tensor) -> Tensor:
        """Pool maps (N, C, H, W) to vectors (N, C)."""
        with torch.autocast(maps.device.type, enabled=False):
            exact = maps.to(exact_format(maps))
            p = self.p.clamp(*P_RANGE)
            pooled = torch.stack(
                [
                    self.weight[scale] * windowed_gem(exact, p[scale], kernel).mean(dim=(2, 3))
                    for scale, kernel in enumerate(self.kernels)
                ]
            ).sum(dim=0)
        return pooled

    def extra_repr(self) -> str:
        """Show the window sizes when printed."""
        return f"kernels={self.kernels}"


class MapAverage(nn.Module):
    """Average of every map: (N, C, H, W) to (N, C)."""

    def forward(self, maps: Tensor) -> Tensor:
        """Pool maps to vectors."""
        return maps.mean(dim=(2, 3), dtype=exact_format(maps))


class TokenAverage(nn.Module):
    """Average over the patch tokens (N, L, C) to (N, C), leaving out class and register tokens at the front."""

    def __init__(self, prefix_tokens: int = 0) -> None:
        super().__init__()
        self.prefix_tokens = prefix_tokens

    def forward(self, tokens: Tensor) -> Tensor:
        """Pool tokens to vectors."""
        return tokens[:, self.prefix_tokens :].mean(dim=1, dtype=exact_format(tokens))

    def extra_repr(self) -> str:
        """Show how many leading tokens are left out when printed."""
        return f"prefix_tokens={self.prefix_tokens}"


class AttendedAverage(nn.Module):
    """The places of the lesion attend to each other: the average of X + Attention(LayerNorm(X)), (N, L, C) to (N, C).

    X are the patch tokens or the places of a feature map; class and register tokens at the front are left out. Where a
    place lies is known to the backbone's features already, so no positions are added and any image size goes.
    """

    def __init__(self, width: int, prefix_tokens: int = 0) -> None:
        super().__init__()
        self.prefix_tokens = prefix_tokens
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Pool tokens to vectors."""
        places = tokens[:, self.prefix_tokens :]
        normalised = self.norm(places)
        attended: Tensor = places + self.attention(normalised, normalised)
        return attended.mean(dim=1, dtype=exact_format(attended))


def exact_format(features: Tensor) -> torch.dtype:
    """Float32, or the float64 that the features are in already."""
    return torch.float64 if features.dtype == torch.float64 else torch.float32
