"""How long a fit is, and its learning rate on the way; `training/schedule.py` says what the keys make of each step."""

from dataclasses import dataclass
from typing import Literal

from image_models.keys.group import Group


@dataclass(frozen=True)
class ScheduleRecipe(Group):
    """Epochs and the learning rate by step. The defaults are Table 1 of the FusionNetX paper."""

    epochs: int = 30
    second_fit_epochs: int = 5
    """Epochs of the second fit of `labels = "relabelled_then_target"`."""
    small_epochs: int = 0
    """First epochs of a fit that show images at `small_size` pixels: they cost less, and the rest refines."""
    small_size: int = 0
    learning_rate: float = 1e-4
    minimum_learning_rate: float = 1e-6
    warmup_ratio: float = 0.05
    """Share of all optimiser steps spent on linear warm-up."""
    schedule: Literal["cosine", "constant", "plateau"] = "cosine"
    """`plateau` multiplies the rate by `plateau_factor` when the inner score stands still, down to the minimum rate;
    needs `select = "best"`."""
    cosine_steps: int = 500
    """T_max of the cosine in optimiser steps; 0 stretches it over the whole fit."""
    after_cosine: Literal["hold", "cycle"] = "hold"
    """After T_max: stay at the minimum, or climb again as PyTorch's `CosineAnnealingLR` does."""
    plateau_factor: float = 0.1
    plateau_patience: int = 2
    """Epochs without a better inner score that are waited through; one more lowers the rate, as PyTorch counts."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        self.require_at_least(1, "epochs")
        self.require_at_least(
            0,
            "second_fit_epochs",
            "small_epochs",
            "small_size",
            "cosine_steps",
            "minimum_learning_rate",
            "plateau_patience",
        )
        self.require_below_one("warmup_ratio")
        self.require(self.learning_rate > 0, "learning_rate", "above 0")
        self.require(
            self.minimum_learning_rate <= self.learning_rate,
            "minimum_learning_rate",
            f"at most learning_rate ({self.learning_rate})",
        )
        self.require(0 < self.plateau_factor < 1, "plateau_factor", "between 0 and 1")
