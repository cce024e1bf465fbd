"""Milliseconds of a training step: in the real loop, of the network alone, and replayed as one CUDA graph."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.gpu_check.setting import Found, Line, Setting, made_up
from image_models.device import fastest_convolutions
from image_models.networks.zoo import build
from image_models.precision import DTYPES, autocast, choose_precision
from image_models.predict import placed
from image_models.recipe import ImageModelRecipe
from image_models.training.losses import summed_loss
from image_models.training.optimise import Optimiser

OF_THE_NETWORK = 0.9
"""The loop's speed against the network's alone that is asked for on a card."""


def measure(setting: Setting, _: dict[str, Found]) -> Found:
    """Every network of the roster."""
    figures: dict[str, dict[str, Any]] = {}
    lines: list[Line] = []
    for name, recipe in setting.networks().items():
        found = {"loop_ms": of_the_loop(setting, recipe), "alone_ms": alone(setting, recipe)}
        if setting.on_cuda:
            found["graph_ms"] = replayed(setting, recipe)
        figures[name] = found
        ratio = found["alone_ms"] / found["loop_ms"]
        said = ", ".join(f"{key.removesuffix('_ms')} {value:.2f} ms" for key, value in found.items())
        good = ratio >= OF_THE_NETWORK if setting.on_cuda else None
        lines.append(
            Line(f"{name}, a step", f"{said}; {ratio:.2f} of the network's speed", f"{OF_THE_NETWORK:g}", good)
        )
    return Found(figures, lines)


def of_the_loop(setting: Setting, recipe: ImageModelRecipe) -> float:
    """The fastest epoch but the first of a fit, by step."""
    epochs, steps = 4, 3 if setting.small else 20
    lesions = made_up(steps * recipe.batch_size, recipe.image_size)
    report = setting.fit(shortened(recipe, epochs), lesions).report
    return min(epoch.seconds for epoch in report.epochs[1:]) / (report.steps / epochs) * 1000


def shortened(recipe: ImageModelRecipe, epochs: int) -> ImageModelRecipe:
    """The recipe for a few epochs that show everything."""
    return replace(recipe, epochs=epochs, negatives_per_positive=0)


def alone(setting: Setting, recipe: ImageModelRecipe) -> float:
    """The same step over and over on one batch that stays on the device."""
    with fastest_convolutions(setting.device):
        return setting.milliseconds(eager_step(setting, recipe), 3 if setting.small else 40)


def eager_step(setting: Setting, recipe: ImageModelRecipe) -> Callable[[], Any]:
    """A step as training takes it."""
    model = placed(build(recipe, 2), recipe, setting.device).train()
    precision = choose_precision(recipe, setting.device, model)
    optimiser = Optimiser(model, recipe, precision, setting.device)
    pixels, shares, even = one_batch(setting, recipe, DTYPES[precision])

    def step() -> Tensor:
        with autocast(precision, setting.device):
            logits = model(pixels)
        optimiser.backward(summed_loss(logits, shares, even, 0.0) / len(pixels))
        return optimiser.step(1e-4)

    return step


def one_batch(setting: Setting, recipe: ImageModelRecipe, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels, shares and class weights on the device."""
    count, side = recipe.batch_size, recipe.image_size
    pixels = torch.randn(count, 3, side, side, device=setting.device, dtype=dtype)
    if recipe.channels_last:
        pixels = pixels.contiguous(memory_format=torch.channels_last)
    shares = torch.eye(2, device=setting.device).repeat(-(-count // 2), 1)[:count]
    return pixels, shares, torch.ones(2, device=setting.device)


def replayed(setting: Setting, recipe: ImageModelRecipe) -> float:
    """The step recorded once as a CUDA graph: what is left when nothing has to be launched. Always in bf16."""
    model = placed(build(recipe, 2), recipe, setting.device).train()
    rate = torch.tensor(1e-4, device=setting.device)
    rule = torch.optim.AdamW(model.parameters(), lr=rate, fused=True, capturable=True)
    pixels, shares, even = one_batch(setting, recipe, torch.bfloat16)

    def step() -> None:
        rule.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
            logits = model(pixels)
        (summed_loss(logits, shares, even, 0.0) / len(pixels)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        rule.step()

    with fastest_convolutions(setting.device):
        side = torch.cuda.Stream(setting.device)
        side.wait_stream(torch.cuda.current_stream(setting.device))
        with torch.cuda.stream(side):
            for _ in range(5):
                step()
        torch.cuda.current_stream(setting.device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        rule.zero_grad(set_to_none=True)
        with torch.cuda.graph(graph):
            step()
        return setting.milliseconds(graph.replay, 40)
