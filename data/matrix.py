"""The table a booster eats: numbers only, with the meaning of each column beside them."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Matrix:
    """Lesions by features, ready for a booster."""

    values: npt.NDArray[np.float32]
    """(lesions, features), C order; NaN is missing; a categorical column holds whole codes, NaN when unknown."""
    names: tuple[str, ...]
    families: tuple[str, ...]
    """The feature family of each column, for reports by family."""
    categorical: tuple[int, ...]
    """Indices of columns to be treated as native categories."""
    image: tuple[int, ...]
    """Indices of columns derived from image-model probabilities."""

    def take(self, rows: npt.NDArray[np.int64]) -> "Matrix":
        """Some of the lesions."""
        return replace(self, values=self.values[rows])

    def without_image(self) -> "Matrix":
        """The same lesions without any column that comes from an image model."""
        kept = [i for i in range(len(self.names)) if i not in set(self.image)]
        position = {old: new for new, old in enumerate(kept)}
        return Matrix(
            values=np.ascontiguousarray(self.values[:, kept]),
            names=tuple(self.names[i] for i in kept),
            families=tuple(self.families[i] for i in kept),
            categorical=tuple(position[i] for i in self.categorical if i in position),
            image=(),
        )
