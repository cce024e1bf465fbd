"""The arrays a network trains on and predicts from, one row per lesion.

Made by the pipeline from a cohort and an image pack; here only their lengths and kinds are checked.
Which rows are training rows and which are held out is said elsewhere, as int64 row indices.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

UNKNOWN = -1
"""Target of a lesion whose diagnosis is not known (test rows)."""


@dataclass(frozen=True)
class Lesions:
    """Lesions as arrays: row i of every array, and of the image pack, is lesion i."""

    images: npt.NDArray[np.uint8]
    """(n, side, side, 3), perhaps a memory map; rows of missing images hold anything."""
    present: npt.NDArray[np.bool_]
    """(n,): does the lesion have an image?"""
    target: npt.NDArray[np.int64]
    """(n,): class index, or UNKNOWN."""
    training_label: npt.NDArray[np.int64]
    """(n,): what a fit learns; `target`, unless the recipe relabels training rows."""
    group: npt.NDArray[np.int64]
    """(n,): code of the patient, for inner splits."""
    classes: int
    """2 means binary: one logit, one probability column."""
    ids: npt.NDArray[np.str_]
    """(n,): lesion ids, for messages."""
    metadata: npt.NDArray[np.float32] | None = None
    """(n, m): numbers beside the image, for fusion networks."""

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together."""
        count = len(self.ids)
        per_lesion = ("images", "present", "target", "training_label", "group")
        lengths = {name: len(getattr(self, name)) for name in per_lesion}
        if self.metadata is not None:
            lengths["metadata"] = len(self.metadata)
        wrong = {name: length for name, length in lengths.items() if length != count}
        if wrong:
            raise ValueError(
                f"{count} lesion ids, but {', '.join(f'{name} has {n} rows' for name, n in wrong.items())}"
            )
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or self.images.shape[3] != 3:
            raise ValueError(f"images are {self.images.dtype} {self.images.shape}, not uint8 (n, side, side, 3)")
        if self.present.dtype != np.bool_:
            raise ValueError(f"present is {self.present.dtype}, not bool")
        if self.classes < 2:
            raise ValueError(f"classes = {self.classes}: at least 2")
        for name in ("target", "training_label"):
            labels = getattr(self, name)
            if count and (labels.min() < UNKNOWN or labels.max() >= self.classes):
                raise ValueError(
                    f"{name} runs from {labels.min()} to {labels.max()}, not {UNKNOWN} to {self.classes - 1}"
                )

    def __len__(self) -> int:
        """Return the number of lesions."""
        return len(self.ids)

    @property
    def columns(self) -> int:
        """Probability columns a model of these lesions has: 1 when binary, else one per class."""
        return 1 if self.classes == 2 else self.classes
