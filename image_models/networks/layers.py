"""Where the parts of a network are: its backbones, and the layers that normalise by the batch."""

from typing import Any

from torch import nn

from image_models.networks.image_branch import ImageBranch


def backbones(model: nn.Module) -> dict[str, Any]:
    """Every network that sees images, by the name of its module."""
    return {
        f"{prefix}.backbone".lstrip("."): module.backbone
        for prefix, module in model.named_modules()
        if isinstance(module, ImageBranch)
    }


def batch_norms(model: nn.Module) -> list[nn.Module]:
    """Layers that normalise by the batch, which cannot learn from a single image."""
    return [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def branch_batch_norms(model: nn.Module) -> list[nn.Module]:
    """Those inside backbones, whose statistics may be pretrained; a classifier's are not among them."""
    return [module for backbone in backbones(model).values() for module in batch_norms(backbone)]
