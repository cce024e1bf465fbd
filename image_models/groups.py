"""Optimiser groups of a network, and what it costs: parameters, megabytes, operations per image."""

from dataclasses import dataclass
from typing import Any

import torch
from timm.models import group_parameters
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from image_models.recipe import ImageModelRecipe


def parameter_groups(model: nn.Module, recipe: ImageModelRecipe) -> list[dict[str, Any]]:
    """Split parameters into optimiser groups with `params`, `names`, `weight_decay` and `lr_scale`.

    Vectors (biases, norms, the pooling's parameters) and embeddings are not decayed. With L layers in the backbone,
    its layer l, counted from 0, learns at layer_decay^(L - l) of the rate; the rest of the network at all of it.
    """
    depth = layer_depths(model)
    undecayed = undecayed_names(model)
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        decay = 0.0 if parameter.ndim <= 1 or name in undecayed else recipe.weight_decay
        scale = recipe.layer_decay ** depth.get(name, 0)
        group = groups.setdefault((scale, decay), {"params": [], "names": [], "lr_scale": scale, "weight_decay": decay})
        group["params"].append(parameter)
        group["names"].append(name)
    return list(groups.values())


def layer_depths(model: nn.Module) -> dict[str, int]:
    """How many layers above each of the backbone's parameters the head begins, by timm's grouping of layers."""
    backbone: Any = getattr(model, "backbone", None)
    if backbone is None:
        return {}
    if not hasattr(backbone, "group_matcher"):
        return {f"backbone.{name}": 1 for name, _ in backbone.named_parameters()}
    layers = group_parameters(backbone, backbone.group_matcher(coarse=False), reverse=True)
    count = max(layers.values()) + 1
    return {f"backbone.{name}": count - layer for name, layer in layers.items()}


def undecayed_names(model: nn.Module) -> set[str]:
    """Embeddings and tables that timm's backbones ask not to be decayed."""
    backbone: Any = getattr(model, "backbone", None)
    return (
        {f"backbone.{name}" for name in backbone.no_weight_decay()} if hasattr(backbone, "no_weight_decay") else set()
    )


@dataclass(frozen=True)
class Cost:
    """What a network weighs and works."""

    parameters: int
    megabytes: float
    """Size of its float32 parameters and buffers."""
    gflops: float
    """Billions of floating-point operations for one image forward; a multiply-add counts as two."""


@torch.inference_mode()
def describe(model: nn.Module, image_size: int) -> Cost:
    """Measure a network's cost with one image, on the device it is on."""
    training = model.training
    device = next(model.parameters()).device
    tensors = [*model.parameters(), *model.buffers()]
    counter = FlopCounterMode(display=False)
    with counter:
        model.eval()(torch.zeros(1, 3, image_size, image_size, device=device))
    model.train(training)
    return Cost(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        megabytes=sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1e6,
        gflops=counter.get_total_flops() / 1e9,
    )


def batch_norms(model: nn.Module) -> list[nn.Module]:
    """Layers that normalise by the batch, which cannot learn from a single image."""
    return [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
