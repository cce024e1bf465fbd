"""Random changes to training images."""

from dataclasses import dataclass

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
