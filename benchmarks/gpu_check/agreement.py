"""Whether it is right: in every number format, images on the host or on the device, in one sitting or two.

A fit from images in host memory, one from images kept on the device and one that was stopped and taken up must give the
same losses: to the bit on a processor, beside rounding on a card. What the card then predicts must be what a processor
predicts in float32 with the same weights.
"""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.gpu_check.setting import Found, Line, Setting, made_up, stopping_at
from data.errors import Interrupted
from image_models.lesions import Lesions
from image_models.predict import load_model, predict
from image_models.recipe import ImageModelRecipe
from image_models.training.train import MODEL_FILE

SIDE = 32

NEAR = {"fp32": 1e-3, "bf16": 5e-2, "fp16": 1e-2}
"""Largest difference of a probability that is still rounding."""
ALIKE = 2e-2
"""Largest relative difference between two losses of a card, which adds in another order every time."""


def measure(setting: Setting, _: dict[str, Found]) -> Found:
    """Losses three ways and probabilities two ways, by format."""
    lesions = made_up(128, SIDE)
    figures: dict[str, Any] = {}
    lines: list[Line] = []
    for precision in ("fp32", "bf16", "fp16") if setting.on_cuda else ("fp32", "bf16"):
        recipe = setting.toy(precision=precision, ema_decay=0.9, accumulate=2)
        apart, far = losses_apart(setting, recipe, lesions), far_from_processor(setting, recipe, lesions)
        figures[precision] = {"losses_apart": apart, "probabilities_apart": far}
        allowed = ALIKE if setting.on_cuda else 0.0
        lines += [
            Line(f"{precision}: host = resident = resumed", f"{apart:.1e}", f"{allowed:g}", apart <= allowed),
            Line(f"{precision}: as a processor predicts", f"{far:.1e}", f"{NEAR[precision]:g}", far <= NEAR[precision]),
        ]
    return Found(figures, lines)


def losses_apart(setting: Setting, recipe: ImageModelRecipe, lesions: Lesions) -> float:
    """Largest relative difference between the losses of fits that must agree."""
    curves = []
    for resident in ("host", "device"):
        asked = replace(recipe, resident=resident)
        curves.append([epoch.loss for epoch in setting.fit(asked, lesions).report.epochs])
        with TemporaryDirectory() as cut:
            try:
                setting.fit(asked, lesions, folder=Path(cut), progress=stopping_at(5))
            except Interrupted:
                resumed = setting.fit(asked, lesions, folder=Path(cut)).report
                curves.append([epoch.loss for epoch in resumed.epochs])
    assert len(curves) == 4, "a fit of more than five steps was to be stopped"
    found = np.array(curves)
    return float((np.abs(found - found[0]) / np.abs(found[0])).max())


def far_from_processor(setting: Setting, recipe: ImageModelRecipe, lesions: Lesions) -> float:
    """Largest difference of a probability to a processor's in float32, with the same weights."""
    rows = np.arange(len(lesions))
    with TemporaryDirectory() as folder:
        setting.fit(recipe, lesions, folder=Path(folder))
        there, here = (load_model(Path(folder) / MODEL_FILE, recipe, 2) for _ in range(2))
    on_device = predict(there, recipe, lesions, rows, device=str(setting.device))
    on_processor = predict(here, replace(recipe, precision="fp32"), lesions, rows, device="cpu")
    return float(np.abs(on_device - on_processor).max())
