"""How long and how much memory the hidden test will take, from a small cohort predicted here and now."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from data.held import scratch_folder
from data.progress import silent
from data.readers.isic2024 import read_competition
from data.synthetic.isic2024.cohort import write_cohort
from data.synthetic.isic2024.recipe import SyntheticRecipe
from pipeline.new_images import BLOCK_BYTES, image_columns
from pipeline.plan import Plan
from pipeline.runtime import Runtime
from pipeline.stage_two import features_of

T = TypeVar("T")

HIDDEN_LESIONS = 500_000
SAMPLE = 400
"""Synthetic lesions that are timed; images and boosters take time in proportion to their number."""


@dataclass(frozen=True)
class Estimate:
    """Measured on this machine, for `lesions` lesions."""

    lesions: int
    sample: int
    device: str
    image_seconds: float
    feature_seconds: float
    booster_seconds: float
    table_gb: float
    disk_gb: float

    def lines(self) -> list[str]:
        """The estimate for a person."""
        total = self.image_seconds + self.feature_seconds + self.booster_seconds
        return [
            f"{self.lesions:,} lesions on this machine ({self.device}): about {total / 60:,.0f} minutes: images and "
            f"networks {self.image_seconds / 60:,.0f}, features {self.feature_seconds / 60:,.1f}, boosters "
            f"{self.booster_seconds / 60:,.1f}; measured on {self.sample} synthetic lesions, taken in proportion",
            f"memory: {self.table_gb:.1f} GB of features; disk: {self.disk_gb:.1f} GB of decoded images at a time",
        ]


def estimate(finished: Plan, runtime: Runtime, lesions: int = HIDDEN_LESIONS) -> Estimate:
    """Predict a small synthetic cohort part by part and scale the seconds up."""
    import torch

    recipe, display = finished.run.recipe, runtime.display
    models = finished.fold_models
    with scratch_folder() as scratch:
        folder = scratch / "cohort"
        write_cohort(folder, SyntheticRecipe(lesions=100, test_lesions=SAMPLE))
        (cohort, source, _), _ = read_competition(folder)
        scores, image_seconds = None, 0.0
        if recipe.image_models:
            # Once to warm up: loading libraries and networks does not grow with the number of lesions.
            image_columns(models, recipe.data, runtime, cohort, source)
            scores, image_seconds = timed(lambda: image_columns(models, recipe.data, runtime, cohort, source))
        table, feature_seconds = timed(
            lambda: features_of(recipe.features, display, cohort, scores, f"{SAMPLE} lesions")
        )
        _, booster_seconds = timed(lambda: finished.stage_two.predict(table, runtime.threads, silent))
    share = lesions / SAMPLE
    pixels = recipe.data.image_size**2 * 3
    return Estimate(
        lesions=lesions,
        sample=SAMPLE,
        device=torch.cuda.get_device_name(0) if torch.cuda.is_available() else f"CPU, {runtime.threads} threads",
        image_seconds=image_seconds * share,
        feature_seconds=feature_seconds * share,
        booster_seconds=booster_seconds * share,
        # The frame of float columns and the float32 matrix made of it.
        table_gb=lesions * table.frame.width * (8 + 4) / 1e9,
        disk_gb=min(lesions * pixels, BLOCK_BYTES) / 1e9,
    )


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """The result and the seconds it took."""
    began = time.perf_counter()
    return work(), time.perf_counter() - began
