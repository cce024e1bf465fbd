"""What the numbers beside an image mean: names, which belong to one source column, which name the site.

Whoever encodes the columns makes it; networks are built by it and model files carry it. The numbers are not here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class MetadataShape:
    """The encoded inputs of a network, in their order."""

    columns: tuple[str, ...]
    """Name of every input, e.g. `age_approx`, `sex = female`."""
    sites: tuple[int, ...] = ()
    """Positions of the one-hot inputs of the site column; empty without one. All 0: a site that training never saw."""
    groups: tuple[tuple[int, ...], ...] = ()
    """Positions that come from one source column, each set one metadata token; every input is in exactly one."""

    def __post_init__(self) -> None:
        """Refuse positions that do not cover the inputs; without groups every input is a group of its own."""
        everything = range(len(self.columns))
        if not self.groups:
            object.__setattr__(self, "groups", tuple((position,) for position in everything))
        if sorted(position for group in self.groups for position in group) != list(everything):
            raise ValueError(f"groups {self.groups} do not hold each of {len(self.columns)} inputs exactly once")
        if len(set(self.sites)) < len(self.sites) or not set(self.sites) <= set(everything):
            raise ValueError(f"sites {self.sites} are not distinct positions among {len(self.columns)} inputs")

    @property
    def width(self) -> int:
        """Numbers per lesion."""
        return len(self.columns)

    def to_json(self) -> dict[str, Any]:
        """As plain lists, for a file's header."""
        return {
            "columns": list(self.columns),
            "sites": list(self.sites),
            "groups": [list(group) for group in self.groups],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "MetadataShape":
        """Read what `to_json` wrote."""
        return cls(tuple(value["columns"]), tuple(value["sites"]), tuple(tuple(group) for group in value["groups"]))
