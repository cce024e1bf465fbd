"""Optimiser groups of a network: which weights are decayed, and which learn slower."""

from typing import Any

from timm.models import group_parameters
from torch import nn

from image_models.keys.optimiser import OptimiserRecipe
from image_models.networks.layers import backbones


def parameter_groups(model: nn.Module, recipe: OptimiserRecipe) -> list[dict[str, Any]]:
    """Split parameters into optimiser groups with `params`, `names`, `weight_decay` and `lr_scale`.

    Vectors (biases, norms, the pooling's parameters) and embeddings are not decayed. With L layers in a backbone, its
    layer l, counted from 0, learns at layer_decay^(L - l) of the rate; the rest of the network at all of it. Parameters
    that take no gradient are in no group.
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
    """How many layers above each parameter of a backbone the head begins, by timm's grouping of layers."""
    depths: dict[str, int] = {}
    for prefix, backbone in backbones(model).items():
        if not hasattr(backbone, "group_matcher"):
            depths |= {f"{prefix}.{name}": 1 for name, _ in backbone.named_parameters()}
            continue
        layers = group_parameters(backbone, backbone.group_matcher(coarse=False), reverse=True)
        count = max(layers.values()) + 1
        depths |= {f"{prefix}.{name}": count - layer for name, layer in layers.items()}
    return depths


def undecayed_names(model: nn.Module) -> set[str]:
    """Embeddings and tables that timm's backbones ask not to be decayed."""
    return {
        f"{prefix}.{name}"
        for prefix, backbone in backbones(model).items()
        if hasattr(backbone, "no_weight_decay")
        for name in backbone.no_weight_decay()
    }
