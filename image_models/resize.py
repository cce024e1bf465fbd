"""Images (N, C, S, S) brought to another side: averaged down, or interpolated up."""

from torch import Tensor
from torch.nn import functional


def shrunk(pixels: Tensor, size: int) -> Tensor:
    """Average images down to `size`; leave smaller ones alone."""
    if pixels.shape[2] <= size:
        return pixels
    return functional.interpolate(pixels, size=(size, size), mode="bilinear", antialias=True)


def resized(pixels: Tensor, size: int) -> Tensor:
    """Bring images to `size`, averaging down or interpolating up."""
    if pixels.shape[2] >= size:
        return shrunk(pixels, size)
    return functional.interpolate(pixels, size=(size, size), mode="bilinear", align_corners=False)
