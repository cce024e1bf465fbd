"""The arrays a network trains on and predicts from, one row per lesion.

Made by the pipeline from a cohort and an image pack, or by anyone from arrays; here only their lengths and kinds are
checked, and what a network does not see is left out.
Which rows are training rows and which are held out is said elsewhere, as int64 row indices.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from data.errors import TrainingError
from data.images.shards import Beside, Pixels
from image_models.networks.metadata_shape import MetadataShape
from image_models.recipe import ImageModelRecipe

Ints = npt.NDArray[np.int64]
"""Row numbers, labels and codes."""

UNKNOWN = -1
"""Target of a lesion whose diagnosis is not known (test rows)."""


@dataclass(frozen=True)
class Lesions:
    """Lesions as arrays: row i of every array, and of the image pack, is lesion i."""

    images: Pixels
    """(n, side, side, 3), perhaps memory maps, or several pictures beside each other; rows of missing images hold
    anything."""
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
    """(n, m): numbers beside the image, for fusion networks; none may be missing."""
    metadata_shape: MetadataShape | None = None
    """What the columns of `metadata` are."""
    images_fingerprint: str = ""
    """Names the content of `images`, so that what was computed from them can be kept on disk; empty: it is not kept."""

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
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or self.images.shape[3] % 3:
            raise ValueError(f"images are {self.images.dtype} {self.images.shape}, not uint8 (n, side, side, 3)")
        if (self.metadata is None) != (self.metadata_shape is None):
            raise ValueError("metadata and metadata_shape go together: give both or neither")
        if self.metadata is not None and self.metadata_shape is not None:
            if self.metadata.dtype != np.float32 or self.metadata.shape[1:] != (self.metadata_shape.width,):
                raise ValueError(
                    f"metadata is {self.metadata.dtype} {self.metadata.shape}, not float32 "
                    f"({count}, {self.metadata_shape.width}) as its shape says"
                )
            if not np.isfinite(self.metadata).all():
                raise ValueError("metadata holds numbers that are missing or infinite: fill them in first")
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

    def seen_by(self, recipe: ImageModelRecipe) -> "Lesions":
        """The lesions as this recipe's network sees them: metadata only if it names columns, images only if it has
        a backbone, and of several pictures those that it names. Without images every lesion counts as present.
        """
        if isinstance(self.images, Beside):
            named = f"{self.images_fingerprint} {' '.join(recipe.pictures)}" if self.images_fingerprint else ""
            chosen = replace(self, images=self.images.of(recipe.pictures), images_fingerprint=named)
            return chosen._told(recipe)
        return self._told(recipe)

    def _told(self, recipe: ImageModelRecipe) -> "Lesions":
        """With the metadata that the recipe names alone."""
        if not recipe.metadata.columns:
            return replace(self, metadata=None, metadata_shape=None)
        if self.metadata is None:
            raise TrainingError(
                f"image model {recipe.name} takes metadata ({', '.join(recipe.metadata.columns)}), but the lesions "
                "come without: give them as numbers with a MetadataShape, or leave metadata.columns empty"
            )
        if recipe.backbone != "none":
            return self
        return replace(self, images=no_images(len(self)), present=np.ones(len(self), np.bool_), images_fingerprint="")


def no_images(count: int) -> npt.NDArray[np.uint8]:
    """What stands for the images of lesions that have none: one black pixel each, without taking memory."""
    return np.broadcast_to(np.uint8(0), (count, 1, 1, 3))
