"""Keys that change speed or safety, never the result: they are no part of a fingerprint."""

from dataclasses import dataclass
from typing import Literal

from image_models.keys.group import Group


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
