"""What a fit minimises and how long, its learning rate on the way, and which epoch is kept.

`training/schedule.py` says what the keys make of each step.
"""

from dataclasses import dataclass
from typing import Literal

from image_models.keys.group import Group


@dataclass(frozen=True)
class OptimiserRecipe(Group):
    """Loss, update rule and the average of the weights; the learning rate is the schedule's."""

    optimiser: Literal["adamw", "adam"] = "adamw"
    weight_decay: float = 1e-3
    layer_decay: float = 1.0
    """Learning-rate factor per layer from the head down; 1 treats all layers alike."""
    clip_norm: float = 1.0
    """Largest gradient norm; 0 turns clipping off."""
    ema_decay: float = 0.0
    """Decay of the averaged weights that predict; 0 turns averaging off."""
    loss: Literal["cross_entropy", "focal"] = "cross_entropy"
    focal_gamma: float = 2.0
    label_smoothing: float = 0.0
    """Share of every label that is spread over all classes."""
    class_weights: Literal["none", "balanced"] | tuple[float, ...] = "none"

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        self.require_at_least(0, "weight_decay", "clip_norm", "focal_gamma")
        self.require(0 < self.layer_decay <= 1, "layer_decay", "above 0 and at most 1")
        self.require_below_one("ema_decay", "label_smoothing")


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


@dataclass(frozen=True)
class SelectionRecipe(Group):
    """The choice among epochs. Held-out lesions never have a say in it."""

    select: Literal["last", "best"] = "last"
    """`best` keeps the epoch that scores best on an inner split of the training patients, never on held-out ones."""
    select_by: Literal["score", "loss", "auc", "average_precision", "pauc", "macro_auc"] = "score"
    """What `best` means: `score` is pAUC for two classes and macro AUC for more; `loss` the smallest cross-entropy."""
    stop_after: int = 0
    """Epochs without a better inner score after which a fit with `select = "best"` ends; 0 runs all of them."""
    inner_share: float = 0.15
    """Share of the training patients in the inner split of `select = "best"`."""

    def __post_init__(self) -> None:
        """Refuse impossible values and combinations."""
        super().__post_init__()
        self.require_at_least(0, "stop_after")
        for key, idle in (("stop_after", 0), ("select_by", "score")):
            self.require(
                getattr(self, key) == idle or self.select == "best",
                key,
                'needs the score of an inner split: select = "best"',
            )
        self.require(0 < self.inner_share < 1, "inner_share", "between 0 and 1")
