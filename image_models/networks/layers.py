"""Where the parts of a network are: its backbones, and the layers that normalise by the batch."""

from typing import Any

from timm.models import group_parameters
from torch import nn

from data.errors import RecipeError
from image_models.networks.image_branch import ImageBranch


def backbones(model: nn.Module) -> dict[str, Any]:
    """Every network that sees images, by the name of its module."""
    return {
        f"{prefix}.backbone".lstrip("."): module.backbone
        for prefix, module in model.named_modules()
        if isinstance(module, ImageBranch)
    }


def hold_stages(model: nn.Module, count: int) -> None:
    """Take the first stages of every backbone, by timm's coarse grouping, out of training."""
    for prefix, backbone in backbones(model).items():
        if not hasattr(backbone, "group_matcher"):
            raise RecipeError(f"held_stages = {count}: {prefix or 'the network'} has no stages; leave it out")
        stages = group_parameters(backbone, backbone.group_matcher(coarse=True), reverse=True)
        if count > max(stages.values()):
            raise RecipeError(
                f"held_stages = {count}: the backbone has {max(stages.values()) + 1} stages, and one at least must "
                "learn; to hold all of them set frozen = true"
            )
        for name, parameter in backbone.named_parameters():
            if stages[name] < count:
                parameter.requires_grad_(False)


def held_batch_norms(model: nn.Module) -> list[nn.Module]:
    """Those inside backbones that do not learn, and so keep their statistics as well."""
    return [norm for norm in branch_batch_norms(model) if not any(p.requires_grad for p in norm.parameters())]


def batch_norms(model: nn.Module) -> list[nn.Module]:
    """Layers that normalise by the batch, which cannot learn from a single image."""
    return [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def branch_batch_norms(model: nn.Module) -> list[nn.Module]:
    """Those inside backbones, whose statistics may be pretrained; a classifier's are not among them."""
    return [module for backbone in backbones(model).values() for module in batch_norms(backbone)]
