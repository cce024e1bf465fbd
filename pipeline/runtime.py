"""How work is done this time: what a person sees of it, who does it, where things are kept. Never part of a result."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from data.images.pack import usable_cores
from pipeline.display import Display
from pipeline.execute.shared import Shared

if TYPE_CHECKING:
    from image_models.training.distributed import Ranks
    from pipeline.execute.job import Executor


@dataclass(frozen=True)
class Runtime:
    """The surroundings of a command."""

    display: Display
    executor: "Executor"
    """Who does the jobs."""
    cache_dir: Path
    """Packed images, synthetic data and what is measured once per machine: shared by all runs."""
    weights_dir: Path
    """Pretrained weights."""
    storage: str | None = None
    """Optuna storage URL; None keeps each study in the run folder."""
    tensorboard: bool = False
    """Write training scalars to the run folder."""
    shared: Shared = field(default_factory=Shared)
    """Large things that the jobs of this process have in common."""
    ranks: "Ranks | None" = None
    """The processes that do the present job together; None where this one does it alone."""
    sharers: int = 1
    """How many of them share this machine's processors."""
    position: str = ""
    """`[3/20]` of the present job."""
    job_cpus: int = 1
    """Threads of the present job."""
    _noted: set[str] = field(default_factory=set)

    @property
    def threads(self) -> int:
        """Cores of this machine that a run may use."""
        return usable_cores()

    def note_once(self, text: str) -> None:
        """Print a remark that many jobs make, once."""
        if text not in self._noted:
            self._noted.add(text)
            self.display.say(f"note: {text}")

    def warn_once(self, text: str) -> None:
        """Print a warning that may come up again, once."""
        if text not in self._noted:
            self._noted.add(text)
            self.display.warn(text)

    def shown_on(self, display: Display) -> "Runtime":
        """The same, seen elsewhere, with nothing in common in memory: for a variant of the run."""
        return replace(self, display=display, shared=Shared())


def cache_folder() -> Path:
    """Where the cache is unless a caller says otherwise."""
    return Path(os.environ.get("FUSIONNETX_CACHE", "cache"))


def weights_folder() -> Path:
    """Where pretrained weights are unless a caller says otherwise."""
    return Path(os.environ.get("FUSIONNETX_WEIGHTS", "weights"))
