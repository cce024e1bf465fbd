"""How numbers are computed: format, layout and batches change a result by its rounding, so they belong to it.

Keys that change speed or safety alone are apart: they are no part of a fingerprint.
"""

from dataclasses import dataclass
from typing import Literal

from image_models.keys.group import Group


@dataclass(frozen=True)
class ComputingRecipe(Group):
    """Number format and memory layout, and how lesions are predicted."""

    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    channels_last: bool = True
    predict_batch_size: int = 256
    """Lesions predicted at once; a GPU takes up to four times as many of small images."""
    test_time: Literal["none", "flips", "dihedral"] = "none"
    """Average predictions over 1, 4 or 8 symmetries of the image."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        self.require_at_least(1, "predict_batch_size")


@dataclass(frozen=True)
class RuntimeRecipe(Group):
    """How the work is done, whatever comes out of it."""

    resident: Literal["auto", "device", "host"] = "auto"
    """Where images live while training; `auto` keeps those of a fit on a GPU if an eighth of its free memory is enough
    for them."""
    checkpoint_seconds: float = 60.0
    """Longest time between two saved states."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        self.require(self.checkpoint_seconds > 0, "checkpoint_seconds", "above 0")
