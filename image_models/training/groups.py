"""Optimiser groups of a network, and what it costs: parameters, megabytes, operations per image."""

from dataclasses import dataclass
from typing import Any

import torch
from timm.models import group_parameters
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from image_models.networks.image_branch import ImageBranch
from image_models.networks.metadata_shape import MetadataShape
from image_models.recipe import ImageModelRecipe


def parameter_groups(model: nn.Module, recipe: ImageModelRecipe) -> list[dict[str, Any]]:
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


def backbones(model: nn.Module) -> dict[str, Any]:
    """Every network that sees images, by the name of its module."""
    return {
        f"{prefix}.backbone".lstrip("."): module.backbone
        for prefix, module in model.named_modules()
        if isinstance(module, ImageBranch)
    }


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
    """Measure a network's cost with one image, and metadata if it takes any, on the device it is on."""
    training = model.training
    device = next(model.parameters()).device
    tensors = [*model.parameters(), *model.buffers()]
    counter = FlopCounterMode(display=False)
    with counter:
        model.eval()(*blank_inputs(model, image_size, device))
    model.train(training)
    return Cost(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        megabytes=sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1e6,
        gflops=counter.get_total_flops() / 1e9,
    )


def blank_inputs(model: nn.Module, image_size: int, device: torch.device | str = "cpu") -> list[torch.Tensor]:
    """One black image, and metadata of zeros if the network takes any."""
    shape: MetadataShape | None = getattr(model, "metadata_shape", None)
    inputs = [torch.zeros(1, 3, image_size, image_size, device=device)]
    return inputs + ([torch.zeros(1, shape.width, device=device)] if shape else [])


def batch_norms(model: nn.Module) -> list[nn.Module]:
    """Layers that normalise by the batch, which cannot learn from a single image."""
    return [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def branch_batch_norms(model: nn.Module) -> list[nn.Module]:
    """Those inside backbones, whose statistics may be pretrained; a classifier's are not among them."""
    return [module for backbone in backbones(model).values() for module in batch_norms(backbone)]
