"""Images per second of prediction, by batch size."""

import time
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.gpu_check.setting import Found, Line, Setting, made_up
from image_models.lesions import Lesions
from image_models.networks.zoo import build
from image_models.predict import predict
from image_models.recipe import ImageModelRecipe


def measure(setting: Setting, _: dict[str, Found]) -> Found:
    """Every network of the roster; the batch that the recipe asks for is widened on a card, as in a run."""
    figures: dict[str, dict[str, Any]] = {}
    lines: list[Line] = []
    widths = (16, 32) if setting.small else (64, 256, 1024)
    for name, recipe in setting.networks().items():
        lesions = made_up(64 if setting.small else 6144, recipe.image_size)
        speeds = {width: images_per_second(setting, recipe, lesions, width) for width in widths}
        figures[name] = {str(width): speed for width, speed in speeds.items()}
        said = ", ".join(f"{width}: {speed:,.0f}" for width, speed in speeds.items())
        lines.append(Line(f"{name}, images/s predicted by batch", said))
    return Found(figures, lines)


def images_per_second(setting: Setting, recipe: ImageModelRecipe, lesions: Lesions, width: int) -> float:
    """Gathering, preparing and the network together, as in a run."""
    asked, rows = replace(recipe, predict_batch_size=width), np.arange(len(lesions))
    model = build(asked, 2)
    predict(model, asked, lesions, rows[: 4 * width], device=str(setting.device))
    began = time.perf_counter()
    predict(model, asked, lesions, rows, device=str(setting.device))
    return len(rows) / (time.perf_counter() - began)
