"""A fold model as an ONNX file, asked through onnxruntime; torch is not needed and not imported."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.images.shards import take
from data.spelled import spelled
from image_models.recipe import ImageModelRecipe

if TYPE_CHECKING:
    from image_models.lesions import Lesions

FILE = "model.onnx"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class OnnxNetwork:
    """An open file and the recipe of its image model."""

    session: Any
    recipe: ImageModelRecipe

    @staticmethod
    def open(path: Path, recipe: ImageModelRecipe, threads: int) -> "OnnxNetwork":
        """DataError where onnxruntime is not installed or cannot read the file."""
        try:
            import onnxruntime
        except ImportError as error:
            raise DataError(f"{path} needs onnxruntime: pip install fusionnetx[onnx]") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        try:
            with spelled(path) as name:
                session = onnxruntime.InferenceSession(name, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has no exception of its own that is public
            raise DataError(f"{path} is damaged or made for another onnxruntime ({error}); export again") from error
        return OnnxNetwork(session, recipe)

    def predict(self, lesions: "Lesions", rows: npt.NDArray[np.int64]) -> Floats:
        """Probabilities as `image_models.predict` gives them; NaN for a lesion without an image that is needed."""
        lesions = lesions.seen_by(self.recipe)
        probabilities = np.full((len(rows), lesions.columns), np.nan)
        places = np.flatnonzero(lesions.present[rows])
        for start in range(0, len(places), self.recipe.predict_batch_size):
            part = places[start : start + self.recipe.predict_batch_size]
            probabilities[part] = self._batch(lesions, rows[part])
        return probabilities

    def _batch(self, lesions: "Lesions", rows: npt.NDArray[np.int64]) -> Floats:
        beside = {} if lesions.metadata is None else {"metadata": lesions.metadata[rows]}
        if self.recipe.backbone == "none":
            views = [beside]
        else:
            images = np.empty((len(rows), *lesions.images.shape[1:]), np.uint8)
            take(lesions.images, rows, images)
            seen = symmetries(images, self.recipe.test_time)
            views = [{"images": np.ascontiguousarray(view), **beside} for view in seen]
        return np.asarray(np.mean([shares(self.session.run(None, view)[0]) for view in views], axis=0))


def symmetries(
    images: npt.NDArray[np.uint8], kind: Literal["none", "flips", "dihedral"]
) -> Iterator[npt.NDArray[np.uint8]]:
    """Images (N, S, S, 3) themselves, then their mirror images: 1, 4 or 8 in all."""
    for turned in (images, images.transpose(0, 2, 1, 3)) if kind == "dihedral" else (images,):
        yield turned
        if kind != "none":
            yield from (turned[:, :, ::-1], turned[:, ::-1], turned[:, ::-1, ::-1])


def shares(logits: npt.NDArray[np.float32]) -> Floats:
    """Probabilities in double precision: of the positive class alone, or one per class."""
    if logits.shape[1] == 1:
        return np.asarray(1.0 / (1.0 + np.exp(-logits.astype(np.float64))))
    power = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(power / power.sum(axis=1, keepdims=True))
