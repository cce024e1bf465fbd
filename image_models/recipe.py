"""The image models' part of a recipe: what to build, how to train it, how to compute.

The keys are described in `image_models/keys/`, group by group. Here they become one flat table, with the rules
that cross groups, and with what a result depends on.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any

from image_models.keys.computing import ComputingRecipe, RuntimeRecipe
from image_models.keys.metadata import MetadataRecipe
from image_models.keys.network import NetworkRecipe
from image_models.keys.sampling import AugmentRecipe, SamplingRecipe
from image_models.keys.training import OptimiserRecipe, ScheduleRecipe, SelectionRecipe

__all__ = ["RETIRED_KEYS", "RUNTIME_KEYS", "AugmentRecipe", "ImageModelRecipe", "MetadataRecipe", "deciding_settings"]

RUNTIME_KEYS = tuple(key.name for key in fields(RuntimeRecipe))
"""Keys that a result does not depend on."""

LATER_KEYS: dict[str, Any] = {
    "select_by": "score",
    "held_stages": 0,
    "label_smoothing": 0.0,
    "small_epochs": 0,
    "small_size": 0,
    "pictures": (),
    "gem_kernels": (3, 5),
    "pooled_dropout": 0.0,
    "normalise": "imagenet",
    "augment": {"noise": 0.0},
    "metadata": {"impute": "median", "scale": "standard", "components": 0},
}
"""Keys from after the first runs, at the value that means what was done before there was a choice: then they are left
out of fingerprints, and what was trained without them stays valid."""

RETIRED_KEYS: dict[str, Any] = {"compile": False}
"""Keys that recipes had once, at the value that means what is always done now: they stay in fingerprints, and recipe
files of finished runs may hold them."""


# Fields are collected from the last group to the first: `name` and `backbone`, which have no default, come first.
@dataclass(frozen=True)
class ImageModelRecipe(
    RuntimeRecipe,
    ComputingRecipe,
    SelectionRecipe,
    ScheduleRecipe,
    OptimiserRecipe,
    SamplingRecipe,
    NetworkRecipe,
):
    """One image model: its network, its training set, its schedule. Defaults are Table 1 of the FusionNetX paper."""

    def __post_init__(self) -> None:
        """Refuse what a group refuses, and combinations across groups."""
        super().__post_init__()
        self.require(
            self.schedule != "plateau" or self.select == "best",
            "schedule",
            'follows the score of an inner split, which only select = "best" makes',
        )
        small = bool(self.small_epochs)
        self.require(small == bool(self.small_size), "small_size", "goes with small_epochs and only with it")
        self.require(self.small_size < self.input_size or not small, "small_size", f"below {self.input_size}")
        self.require(
            not (small and self.second_backbone), "small_size", "with second_backbone every network has its own size"
        )
        if self.frozen:
            self._require_unchanged_images("frozen = true keeps one vector per image, computed before training")
        if self.backbone == "none":
            self._require_unchanged_images('backbone = "none" has no images and no layers below the head')

    def _require_unchanged_images(self, why: str) -> None:
        """Refuse keys that change images or the layers that see them, where neither is part of training."""
        for key, idle in (
            ("drop_path", 0.0),
            ("layer_decay", 1.0),
            ("freeze_batch_norm", False),
            ("held_stages", 0),
            ("small_epochs", 0),
        ):
            self.require(getattr(self, key) == idle, key, f"{why}; leave it out")
        self.require(not self.augment.mixup, "augment", f"{why}, so mixup has nothing to mix; leave mixup out")


def deciding_settings(recipe: ImageModelRecipe) -> dict[str, Any]:
    """Every key that decides the result, by name: what a fingerprint of a trained model is made of."""
    settings = {key: value for key, value in asdict(recipe).items() if key not in RUNTIME_KEYS}
    return RETIRED_KEYS | as_before(settings)


def as_before(settings: dict[str, Any], later: dict[str, Any] = LATER_KEYS) -> dict[str, Any]:
    """Settings without the later keys that say what was done before there was a choice."""
    found = {}
    for key, value in settings.items():
        if isinstance(value, dict) and isinstance(later.get(key), dict):
            found[key] = as_before(value, later[key])
        elif key not in later or value != later[key]:
            found[key] = value
    return found
