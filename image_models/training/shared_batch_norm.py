"""Batch normalisation over the images of several processes on CPUs, where PyTorch's SyncBatchNorm does not work.

Written with differentiable sums over all processes, so that gradients flow through the common statistics too. Shares
may differ in size, and one may be empty.
"""

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm


class SharedBatchNorm(_BatchNorm):
    """Batch norm for maps or vectors, with the dropout and the activation that timm puts behind its own."""

    def __init__(self, own: _BatchNorm) -> None:
        super().__init__(own.num_features, own.eps, own.momentum, own.affine, own.track_running_stats)
        self.weight, self.bias = own.weight, own.bias
        self.running_mean, self.running_var = own.running_mean, own.running_var
        self.num_batches_tracked = own.num_batches_tracked
        self.drop = getattr(own, "drop", nn.Identity())
        self.act = getattr(own, "act", nn.Identity())
        self.training = own.training

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise by all processes' images in training, by the running statistics otherwise."""
        answer: Tensor = self.act(self.drop(self._normalised(input) if self.training else super().forward(input)))
        return answer

    def _normalised(self, input: Tensor) -> Tensor:
        values = input if input.dtype == torch.float64 else input.float()
        dims = [d for d in range(values.ndim) if d != 1]
        shape = [1, -1, *[1] * (values.ndim - 2)]
        here = values.new_tensor([values.numel() / self.num_features])
        # Two rounds: a sum of squares without the mean taken off loses what the variance is made of.
        totals = summed(torch.cat([values.sum(dims), here]))
        count, mean = totals[-1].detach(), totals[:-1] / totals[-1].detach()
        centred = values - mean.view(shape)
        variance = summed((centred**2).sum(dims)) / count
        self._follow(mean.detach(), variance.detach() * count / (count - 1).clamp_min(1))
        normal = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            normal = normal * self.weight.view(shape) + self.bias.view(shape)
        answer: Tensor = normal.to(input.dtype)
        return answer

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics towards those of the batch."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        step = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, step)
        self.running_var.lerp_(variance, step)


class _Sum(torch.autograd.Function):
    """Sum over all processes; the gradient of a sum that all take part in is the sum of all their gradients."""

    @staticmethod
    def forward(_context: Any, numbers: Tensor) -> Tensor:
        total = numbers.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total


def summed(numbers: Tensor) -> Tensor:
    """Sum over all processes, through which gradients flow."""
    total: Tensor = _Sum.apply(numbers)
    return total


def share_statistics(model: nn.Module) -> nn.Module:
    """The model with every batch norm replaced by one over all processes, under the same names."""
    if isinstance(model, _BatchNorm):
        return SharedBatchNorm(model)
    for name, child in model.named_children():
        setattr(model, name, share_statistics(child))
    return model
