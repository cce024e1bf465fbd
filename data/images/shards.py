"""Several arrays of images as one: what is indexed by lesion need not lie in one file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Shards:
    """Arrays of equal images (perhaps memory maps), one after the other, indexed by row as a single array is."""

    parts: tuple[npt.NDArray[np.uint8], ...]

    def __post_init__(self) -> None:
        """Refuse arrays that are no parts of one."""
        kinds = {(part.dtype, part.shape[1:]) for part in self.parts}
        if len(kinds) != 1:
            raise ValueError(f"parts of one array are alike, not {sorted(map(str, kinds))}")

    @cached_property
    def starts(self) -> Ints:
        """First row of every part, and the number of rows."""
        return np.cumsum([0, *(len(part) for part in self.parts)], dtype=np.int64)

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        """Of every part."""
        return self.parts[0].dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all parts together."""
        return (len(self), *self.parts[0].shape[1:])

    @property
    def ndim(self) -> int:
        """Of every part."""
        return self.parts[0].ndim

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self.starts[-1])

    def __getitem__(self, index: Any) -> npt.NDArray[np.uint8]:
        """One image by its row, or a copy of those of a slice, of rows or of a mask."""
        rows = np.arange(len(self))[index]
        if rows.ndim == 0:
            part = int(np.searchsorted(self.starts, rows, side="right")) - 1
            image: npt.NDArray[np.uint8] = self.parts[part][int(rows - self.starts[part])]
            return image
        out = np.empty((*rows.shape, *self.shape[1:]), self.dtype)
        self.take(rows, out)
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Everything in memory."""
        if copy is False:
            raise ValueError("images in several parts become one array only by copying them")
        return np.concatenate(self.parts, dtype=dtype)

    def take(self, rows: Ints, out: npt.NDArray[np.uint8]) -> None:
        """Put the images of `rows` into `out`."""
        part_of = np.searchsorted(self.starts, rows, side="right") - 1
        for part in np.unique(part_of):
            places = np.flatnonzero(part_of == part)
            out[places] = self.parts[part][rows[places] - self.starts[part]]


Pictures = npt.NDArray[np.uint8] | Shards
"""One picture of each lesion: (n, side, side, 3) uint8."""


@dataclass(frozen=True, eq=False)
class Beside:
    """Several pictures of each lesion as one array (n, side, side, 3 x pictures): each adds three colours."""

    pictures: Mapping[str, Pictures]
    """Alike, by name."""

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        """Of every picture."""
        return np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all pictures together."""
        (count, height, width, colours) = next(iter(self.pictures.values())).shape
        return (count, height, width, colours * len(self.pictures))

    @property
    def ndim(self) -> int:
        """Lesions, two sides, colours."""
        return 4

    def __len__(self) -> int:
        """Return the number of lesions."""
        return self.shape[0]

    def of(self, names: Sequence[str]) -> "Pixels":
        """The pictures of these names, in their order; of none, the first."""
        chosen = {name: self.pictures[name] for name in names or list(self.pictures)[:1]}
        return next(iter(chosen.values())) if len(chosen) == 1 else Beside(chosen)

    def take(self, rows: Ints, out: npt.NDArray[np.uint8]) -> None:
        """Put the pictures of `rows` into `out`."""
        for place, images in enumerate(self.pictures.values()):
            one = np.empty((len(rows), *images.shape[1:]), np.uint8)
            take(images, rows, one)
            out[..., 3 * place : 3 * place + 3] = one


Pixels = Pictures | Beside
"""Images by row: (n, side, side, 3) uint8, or more colours where lesions have several pictures."""


def take(images: Pixels, rows: Ints, out: npt.NDArray[np.uint8]) -> None:
    """Put the images of `rows`, which must exist, into `out`."""
    if isinstance(images, Shards | Beside):
        images.take(rows, out)
    else:
        # Without "clip" numpy would gather into a copy of its own first.
        np.take(images, rows, axis=0, out=out, mode="clip")
