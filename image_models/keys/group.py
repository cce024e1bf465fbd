"""What a group of keys is: a frozen dataclass that refuses impossible values, and says which key holds one.

Groups are joined by inheritance, so that a recipe stays one flat table whatever file a key is described in. Plain
dataclasses, so that a machine without pydantic can train; `pipeline.recipe` validates them strictly (unknown key, wrong
type).
"""

from dataclasses import dataclass, fields
from typing import Any, ClassVar

LONGER = "more would train for years"
WIDER = "a wider layer alone takes more memory than a GPU has"
MORE = "more lesions at once fit into no memory"

MOST: dict[str, tuple[float, str]] = {
    "widths": (8192, WIDER),
    "hidden": (8192, WIDER),
    "components": (8192, WIDER),
    "gem_kernels": (2048, "no image is larger"),
    "image_size": (2048, "packs of images end there (data.image_size)"),
    "second_image_size": (2048, "packs of images end there (data.image_size)"),
    "negatives_per_positive": (1e6, "no cohort has more negatives for each positive"),
    "positive_repeats": (10_000, "an epoch of more repetitions ends in no lifetime"),
    "batch_size": (65_536, MORE),
    "predict_batch_size": (65_536, MORE),
    "accumulate": (65_536, "an epoch has fewer batches"),
    "crop_ratio": (100, "a picture a hundred times as wide as high shows nothing"),
    "mixup": (1000, "a Beta distribution of more than that is a half"),
    "weight_decay": (1000, "more leaves no weight"),
    "clip_norm": (1e6, "more clips nothing; 0 clips nothing, too"),
    "focal_gamma": (100, "more leaves no gradient that single precision holds"),
    "class_weights": (1e6, "more leaves the other classes no gradient"),
    "epochs": (100_000, LONGER),
    "second_fit_epochs": (100_000, LONGER),
    "small_epochs": (100_000, LONGER),
    "held_stages": (1000, "no network has more stages"),
    "cosine_steps": (1e9, LONGER),
    "plateau_patience": (100_000, LONGER),
    "stop_after": (100_000, LONGER),
    "learning_rate": (100, "weights would leave the numbers after one step"),
    "checkpoint_seconds": (1e8, "three years are never"),
}


def above_most(key: str, value: Any) -> str | None:
    """Why a value is too large for its key; None when it is not, or when the key knows no end."""
    if key not in MOST:
        return None
    most, why = MOST[key]
    numbers = [one for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, int | float)]
    return f"at most {most:,.10g}: {why}" if max(numbers, default=0) > most else None


STRICT = {"extra": "forbid", "strict": True}


@dataclass(frozen=True)
class Group:
    """Keys that belong together. A group's `__post_init__` calls that of the groups it is joined with, then checks."""

    __pydantic_config__: ClassVar = STRICT

    def __post_init__(self) -> None:
        """Refuse values beyond all bounds; here ends the chain of checks."""
        for field in fields(self):
            trouble = above_most(field.name, getattr(self, field.name))
            self.require(trouble is None, field.name, trouble or "")

    def require(self, condition: bool, key: str, rule: str) -> None:
        """Refuse the value of a key, naming it."""
        if not condition:
            raise ValueError(f"{key} = {getattr(self, key)!r}: {rule}")

    def require_at_least(self, least: int, *keys: str) -> None:
        """Refuse values below `least`."""
        for key in keys:
            self.require(getattr(self, key) >= least, key, f"at least {least}")

    def require_below_one(self, *keys: str) -> None:
        """Refuse values that are no share, or the whole."""
        for key in keys:
            self.require(0 <= getattr(self, key) < 1, key, "at least 0 and less than 1")
