"""What a caller says of the run to work on. Light: the command line is built from it before anything is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Wanted:
    """What a caller says of the run to work on; None where nothing was said."""

    recipe: str | None = None
    """A shipped recipe or a file."""
    run: str | None = None
    """A name under runs/, or a path."""
    data: Path | None = None
    changes: Sequence[str] = ()
    """`key=value` changes of the recipe."""
    replace: bool = False
    """Whether finished steps may be lost to another recipe or other data."""
