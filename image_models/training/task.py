"""What a fold's training is about, and where its files lie."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from image_models.lesions import Ints, Lesions
from image_models.recipe import ImageModelRecipe


@dataclass(frozen=True)
class FoldTask:
    """One model to be trained on some of the lesions."""

    recipe: ImageModelRecipe
    lesions: Lesions
    rows: Ints
    """Those it learns from; a row named twice is shown twice an epoch."""
    seed: int
    """Every random number derives from it."""
    fingerprint: str
    """Stands for the recipe and the data: what was made under another one is not taken up."""
    inner_rows: Ints | None = None
    """Rows that compare the epochs of `select = "best"` where a protocol names them; else they are split off."""

    keep_threads: bool = False
    """Let an unfinished fit go on with the threads that it began with; else with those of the process."""

    @property
    def key(self) -> dict[str, Any]:
        """What must agree with a saved state or model that is to be taken up."""
        return {"fingerprint": self.fingerprint, "seed": self.seed}


@dataclass(frozen=True)
class Places:
    """Folders of a fold's training."""

    folder: Path
    """The fold's own: its state while it is trained, then its model and report."""
    weights_dir: Path | None = None
    """Pretrained weights."""
    cache_dir: Path | None = None
    """Keeps the precision measured for this machine (none: no measurement) and the image vectors of frozen networks
    (none: computed again)."""
    log_dir: Path | None = None
    """Receives TensorBoard scalars."""
