"""What one part of the audit found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["passed", "failed", "look", "not done"]


@dataclass(frozen=True)
class Check:
    """One part of the audit."""

    name: str
    status: Status
    summary: str
    """One line."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Everything behind it, JSON-ready."""
