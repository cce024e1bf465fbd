"""Images (N, C, S, S) brought to another side: averaged down, or interpolated up."""

import torch
from torch import Tensor
from torch.nn import functional


def shrunk(pixels: Tensor, size: int) -> Tensor:
    """Average images down to `size`; leave smaller ones alone."""
    if pixels.shape[2] <= size:
        return pixels
    if torch.onnx.is_in_onnx_export():
        # The same sums as two products with a matrix, for which ONNX has operators.
        side = pixels.shape[2]
        shares = torch.eye(side)[None, None]
        shares = functional.interpolate(shares, size=(size, side), mode="bilinear", antialias=True)[0, 0]
        shares = torch.from_numpy(shares.numpy().copy()).to(pixels.dtype)
        return shares @ pixels @ shares.t()
    return functional.interpolate(pixels, size=(size, size), mode="bilinear", antialias=True)


def resized(pixels: Tensor, size: int) -> Tensor:
    """Bring images to `size`, averaging down or interpolating up."""
    if pixels.shape[2] >= size:
        return shrunk(pixels, size)
    return functional.interpolate(pixels, size=(size, size), mode="bilinear", align_corners=False)
