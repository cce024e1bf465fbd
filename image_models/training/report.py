"""What a fit reports: its curve by epoch, its speed and what it ran on."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data.files import fingerprint, read_json


@dataclass(frozen=True)
class EpochCurve:
    """One epoch."""

    fit: int
    """1, or 2 for the second fit of `relabelled_then_target`."""
    epoch: int
    """Counted from 1."""
    loss: float
    """Mean training loss, each image weighted by its class weight."""
    learning_rate: float
    """Rate of the epoch's last step."""
    inner_score: float | None
    """Score on the inner split, the larger the better (a loss is negative); None without one."""
    seconds: float
    images_per_second: float
    accuracy: float | None = None
    """Of the images as they were shown (changed at random, drawn as the recipe says), each when it was trained on."""
    auc: float | None = None
    """The same; None where an epoch showed no image of a class."""
    inner_loss: float | None = None
    inner_accuracy: float | None = None
    inner_auc: float | None = None
    """Of the inner split; None without one."""


@dataclass(frozen=True)
class TrainingReport:
    """One model trained for one fold."""

    epochs: tuple[EpochCurve, ...]
    selected_epoch: int
    """Epoch of the last fit whose weights were kept."""
    steps: int
    images: int
    """Images shown, repeats included."""
    seconds: float
    """Time spent training, over all sittings of a fit that was interrupted."""
    images_per_second: float
    peak_memory_bytes: int
    """Most memory allocated on a CUDA device, or resident in the process."""
    device: str
    precision: str
    parameters: int
    resumed_at_step: int | None
    """Step at which this sitting took up a saved state; None for a fit in one go."""
    threads: int | None = None
    """Of the processor, in each process; None in reports of before they were recorded."""
    inner_left_out: int = 0
    """Lesions named for comparing epochs that have no image or no known target, and so were not scored."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON-like values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TrainingReport":
        """Read what `as_dict` gave."""
        return cls(**{**values, "epochs": tuple(EpochCurve(**epoch) for epoch in values["epochs"])})


def finished_report(path: Path, key: dict[str, Any]) -> dict[str, Any] | None:
    """The report of a fit that this key finished before, as it was written; None where there is none."""
    try:
        found = read_json(path)
        whole = found["key"] == key and found["checksum"] == fingerprint(found["report"])
        return TrainingReport.from_dict(found["report"]).as_dict() if whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
