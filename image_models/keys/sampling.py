"""What an epoch shows: which lesions, how often, with which labels, changed how."""

from dataclasses import dataclass, field
from typing import Literal

from image_models.keys.group import Group


@dataclass(frozen=True)
class AugmentRecipe(Group):
    """Random changes to training images, applied to whole batches on the device."""

    crop_scale: tuple[float, float] = (0.7, 1.0)
    """Share of the image's area that the random crop keeps."""
    crop_ratio: tuple[float, float] = (0.85, 1.18)
    """Aspect ratio of the crop."""
    rotation_degrees: float = 180.0
    """Rotation drawn from [-x, x]."""
    flip: bool = True
    """Mirror left-right and top-bottom, each with probability one half."""
    brightness: float = 0.15
    contrast: float = 0.15
    saturation: float = 0.15
    hue: float = 0.02
    """Hue rotation as a share of the colour circle."""
    blur: float = 0.0
    """Probability of a slight Gaussian blur."""
    cutout: float = 0.0
    """Probability of one square hole."""
    noise: float = 0.0
    """Largest deviation of Gaussian noise on every pixel, as a share of white; each image draws its own."""
    mixup: float = 0.0
    """Alpha of the beta distribution; 0 turns it off."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        low, high = self.crop_scale
        self.require(0 < low <= high <= 1, "crop_scale", "two shares of the area, 0 < low <= high <= 1")
        low, high = self.crop_ratio
        self.require(0 < low <= high, "crop_ratio", "two aspect ratios, 0 < low <= high")
        self.require(0 <= self.rotation_degrees <= 180, "rotation_degrees", "between 0 and 180")
        self.require_below_one("brightness", "contrast", "saturation", "noise")
        self.require(0 <= self.hue <= 0.5, "hue", "between 0 and 0.5")
        for key in ("blur", "cutout"):
            self.require(0 <= getattr(self, key) <= 1, key, "a probability between 0 and 1")
        self.require_at_least(0, "mixup")


@dataclass(frozen=True)
class SamplingRecipe(Group):
    """The rows, labels and batches of a fit."""

    labels: Literal["target", "relabelled", "relabelled_then_target"] = "target"
    sampling: Literal["ratio", "all", "weighted"] = "ratio"
    """`ratio`: the positives, and some negatives for each; `all` takes every training row once; `weighted` draws as
    many rows with replacement, every class equally often."""
    negatives_per_positive: float = 1.0
    """Negatives drawn anew each epoch per positive by `sampling = "ratio"`; 0, or more than two classes, takes every
    training row once."""
    positive_repeats: int = 1
    """How often each positive is shown per epoch."""
    batch_size: int = 32
    accumulate: int = 1
    """Batches per optimiser step."""
    augment: AugmentRecipe = field(default_factory=AugmentRecipe)

    def __post_init__(self) -> None:
        """Refuse impossible values and combinations."""
        super().__post_init__()
        self.require_at_least(1, "batch_size", "accumulate", "positive_repeats")
        self.require_at_least(0, "negatives_per_positive")
        self.require(
            self.positive_repeats == 1 or self.sampling == "ratio",
            "positive_repeats",
            f'belongs to sampling = "ratio"; sampling is {self.sampling!r}',
        )
