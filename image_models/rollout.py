"""Attention rollout: which places of the image reach a transformer's answer by way of its attention, layer by layer.

Abnar and Zuidema (2020): the mean of a layer's heads, half of it for the way past the layer, multiplied through all
layers. It says where information comes from, not what it speaks for: it is the same for every class.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from image_models.networks.image_branch import ImageBranch
from image_models.networks.image_model import FusionModel, Network, at_size


@contextmanager
def shown_attention(backbone: nn.Module) -> Iterator[list[Tensor]]:
    """Let a backbone's attention be seen: every layer's weights (N, heads, L, L), in the order of work."""
    # timm's attention layers, whose attributes PyTorch types as tensors or modules.
    layers: list[Any] = [
        layer for layer in backbone.modules() if hasattr(layer, "fused_attn") and hasattr(layer, "attn_drop")
    ]
    fused = [layer.fused_attn for layer in layers]
    seen: list[Tensor] = []

    def keep(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        seen.append(inputs[0].detach())

    with ExitStack() as hooks:
        for layer in layers:
            # The fused kernel never holds the weights.
            layer.fused_attn = False
            hooks.callback(layer.attn_drop.register_forward_pre_hook(keep).remove)
        try:
            yield seen
        finally:
            for layer, before in zip(layers, fused, strict=True):
                layer.fused_attn = before


@torch.inference_mode()
def attention_rollout(model: Network, pixels: Tensor) -> Tensor | None:
    """Maps (N, rows, columns) of the first network's first look, each adding up to what reaches it from the patches.

    None for a network without attention among all of its places.
    """
    branch = model.branches[0]
    size = model.sizes[0] if isinstance(model, FusionModel) and len(model.sizes) > 1 else pixels.shape[-1]
    with shown_attention(branch.backbone) as seen:
        features = branch.backbone.forward_features(at_size(pixels[:, :3], size))
    count = features.shape[1] if branch.layout == "tokens" else 0
    if not seen or any(weights.shape[-2:] != (count, count) for weights in seen):
        return None
    rolled = torch.eye(count, device=pixels.device).expand(len(pixels), count, count)
    for weights in seen:
        rolled = (weights.float().mean(dim=1) + torch.eye(count, device=pixels.device)) / 2 @ rolled
    prefix = branch.prefix_tokens
    reached = rolled[:, 0] if reads_class_token(branch) else rolled[:, prefix:].mean(dim=1)
    side = round((count - prefix) ** 0.5)
    return reached[:, prefix:].reshape(len(pixels), side, -1)


def reads_class_token(branch: ImageBranch) -> bool:
    """Whether a branch is read out at its class token; the others average their patches."""
    return branch.head == "timm" and getattr(branch.backbone, "global_pool", "") == "token"
