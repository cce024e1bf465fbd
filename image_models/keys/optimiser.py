"""What an optimiser step minimises, and how it moves the weights."""

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
