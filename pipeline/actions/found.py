"""One thing that a look ahead found."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Found:
    """What was found, and whether it stops a run, deserves a look, or is good to know."""

    level: Literal["error", "warning", "fact"]
    text: str
