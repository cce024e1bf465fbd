"""One optimiser step: AdamW or Adam with clipping and loss scaling, and the moving average of the weights.

Also turns the optimiser's state into named tensors and back, so that it can be saved without pickle. When to step and
with which rate is decided in `fit.py` and `schedule.py`.
"""

import copy
from typing import Any

import torch
from timm.models import group_parameters
from torch import Tensor, nn

from image_models.keys.training import OptimiserRecipe
from image_models.networks.layers import backbones
from image_models.precision import Precision
from image_models.recipe import ImageModelRecipe


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


class Optimiser:
    """AdamW or Adam, whose groups may have their own share of the learning rate (layer decay)."""

    def __init__(self, model: nn.Module, recipe: ImageModelRecipe, precision: Precision, device: torch.device) -> None:
        groups = parameter_groups(model, recipe)
        self.parameters = [parameter for group in groups for parameter in group["params"]]
        self.max_norm = recipe.clip_norm or float("inf")
        kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[recipe.optimiser]
        fused = device.type in ("cpu", "cuda", "mps")
        self.rule = kind(groups, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=fused)
        # Gradients of a float16 pass are scaled up so that small ones do not vanish.
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of one batch."""
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def step(self, rate: float) -> Tensor:
        """Clip, update the weights and clear the gradients; return the norm that the gradients had before clipping."""
        for group in self.rule.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        self.scaler.unscale_(self.rule)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.max_norm)
        self.scaler.step(self.rule)
        self.scaler.update()
        self.rule.zero_grad(set_to_none=True)
        return norm

    def tensors(self) -> dict[str, Tensor]:
        """State by name, `<parameter number>.<moment>`."""
        state = self.rule.state_dict()["state"]
        return {f"{number}.{name}": value for number, moments in state.items() for name, value in moments.items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take over state saved by `tensors`; ValueError for moments that are not those of these parameters."""
        moments: dict[str, set[str]] = {}
        for name in tensors:
            moments.setdefault(name.partition(".")[0], set()).add(name.partition(".")[2])
        if any(found != {"step", "exp_avg", "exp_avg_sq"} for found in moments.values()):
            raise ValueError("a parameter's moments are not all there")
        for name, value in tensors.items():
            number, moment = name.split(".", 1)
            parameter = self.parameters[int(number)]
            if value.dtype != torch.float32 or not value.isfinite().all():
                raise ValueError(f"{name} is of another type, or holds what is no number")
            if value.shape == parameter.shape:
                # Moments share the parameter's memory layout, as fused updates expect.
                value = torch.empty_like(parameter, requires_grad=False).copy_(value)
            elif moment != "step" or value.numel() != 1:
                raise ValueError(f"{name} is of another shape")
            elif self.rule.defaults["fused"]:
                value = value.to(parameter.device)
            self.rule.state[parameter][moment] = value


class AveragedModel:
    """Exponential moving average of a model's weights; other buffers (batch statistics) are copied."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0
        self._pairs = list(zip(self.model.parameters(), model.parameters(), strict=True))
        self._buffers = list(zip(self.model.buffers(), model.buffers(), strict=True))

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the present weights.

        The decay grows as (1 + t) / (10 + t) up to its full value, so that a short fit is not ruled by its start.
        """
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        averages, weights = zip(*self._pairs, strict=True)
        torch._foreach_lerp_(list(averages), list(weights), 1 - decay)
        if self._buffers:
            averages, buffers = zip(*self._buffers, strict=True)
            torch._foreach_copy_(list(averages), list(buffers))
