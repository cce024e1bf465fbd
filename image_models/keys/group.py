"""What a group of keys is: a frozen dataclass that refuses impossible values, and says which key holds one.

Groups are joined by inheritance, so that a recipe stays one flat table whatever file a key is described in. Plain
dataclasses, so that a machine without pydantic can train; `pipeline.recipe` validates them strictly (unknown key, wrong
type).
"""

from dataclasses import dataclass, fields
from typing import ClassVar

from image_models.keys.bounds import above_most

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
