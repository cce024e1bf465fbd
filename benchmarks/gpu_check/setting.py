"""On which device and at what size everything is measured, and the networks of the recipe that is asked about."""

import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from data.errors import Interrupted
from data.progress import Progress, silent
from image_models.lesions import Lesions
from image_models.recipe import ImageModelRecipe
from image_models.training.train import FoldTask, Places, Trained, train_fold

RECIPE = Path(__file__).parents[2] / "pipeline" / "recipes" / "fusionnetx.toml"
STANDING_IN = {
    "convnextv2_nano": "lesion_net",
    "vit_tiny_patch16_224": "lesion_vit",
    "vit_small_patch16_224": "lesion_vit",
}
"""Small networks that take the place of the recipe's under `--small`."""
SMALL_SIDE = 32


@dataclass(frozen=True)
class Line:
    """One row of the table."""

    what: str
    measured: str
    wanted: str = ""
    good: bool | None = None
    """None where nothing is demanded."""


@dataclass(frozen=True)
class Found:
    """What a section found: figures for the JSON file, lines for the table."""

    figures: dict[str, Any]
    lines: list[Line] = field(default_factory=list)


@dataclass(frozen=True)
class Setting:
    """Where and how large."""

    device: torch.device
    small: bool

    @property
    def on_cuda(self) -> bool:
        """Whether it is a graphics card."""
        return self.device.type == "cuda"

    def roster(self) -> list[ImageModelRecipe]:
        """The image models of the recipe, from random weights: speed does not depend on them."""
        tables = tomllib.loads(RECIPE.read_text())["image_models"]
        models = [replace(ImageModelRecipe(**table), pretrained="none") for table in tables]
        return [self._shrunk(model) for model in models] if self.small else models

    def _shrunk(self, model: ImageModelRecipe) -> ImageModelRecipe:
        return replace(
            model, backbone=STANDING_IN[model.backbone], head="auto", image_size=SMALL_SIDE, hidden=8, batch_size=8
        )

    def networks(self) -> dict[str, ImageModelRecipe]:
        """Every network of the roster once, by its name."""
        return {model.backbone: replace(model, labels="target") for model in reversed(self.roster())}

    def toy(self, **changes: Any) -> ImageModelRecipe:
        """A small network on small images, for questions of right and wrong."""
        plain = {"name": "toy", "backbone": "lesion_net", "pretrained": "none", "image_size": SMALL_SIDE, "hidden": 8}
        return ImageModelRecipe(**{**plain, "epochs": 3, "batch_size": 16, "learning_rate": 3e-3, **changes})

    def wait(self) -> None:
        """Until the device has done what was asked of it."""
        if self.on_cuda:
            torch.cuda.synchronize(self.device)

    def milliseconds(self, work: Callable[[], object], times: int) -> float:
        """Of one turn of some work, over so many, after three to warm up."""
        for _ in range(3):
            work()
        self.wait()
        began = time.perf_counter()
        for _ in range(times):
            work()
        self.wait()
        return (time.perf_counter() - began) / times * 1000

    def fit(
        self, recipe: ImageModelRecipe, lesions: Lesions, *, folder: Path | None = None, progress: Progress = silent
    ) -> Trained:
        """Train as the pipeline does, on all the lesions; without a folder nothing of it stays."""
        task = FoldTask(recipe, lesions, np.arange(len(lesions)), seed=1, fingerprint="benchmark")
        with TemporaryDirectory() as own:
            places = Places(folder or Path(own))
            return train_fold(task, places, device=str(self.device), progress=progress)


def made_up(count: int, side: int, *, different: int = 512) -> Lesions:
    """Lesions of two classes that can be told apart, four to a patient; so many different images are repeated."""
    rng = np.random.default_rng(0)
    rows = np.arange(count)
    target = rows % 2
    kinds = min(count, different)
    images = rng.integers(0, 200, (kinds, side, side, 3), dtype=np.uint8)
    images[target[:kinds] == 1, side // 8 : side // 3, side // 8 : side // 3, 0] = 255
    names = np.array([f"L{row}" for row in range(count)])
    return Lesions(images[rows % kinds], np.ones(count, np.bool_), target, target.copy(), rows // 4, 2, names)


def stopping_at(step: int) -> Progress:
    """A listener that stops a fit after some step."""

    def listen(done: int, total: int, **figures: float) -> None:
        if done == step:
            raise Interrupted(130)

    return listen
