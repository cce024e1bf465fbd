"""Several pictures of each lesion, each under a name: a close-up and a dermoscopic one."""

from collections.abc import Mapping
from functools import cached_property, reduce

import numpy as np
import numpy.typing as npt

from data.files import fingerprint
from data.images.sources import ImageSource


class SeveralPictures:
    """Sources of pictures by name; read as one source, they give the first picture."""

    def __init__(self, pictures: Mapping[str, ImageSource]) -> None:
        self.pictures = dict(pictures)

    def __repr__(self) -> str:
        return f"SeveralPictures({self.pictures!r})"

    @property
    def first(self) -> ImageSource:
        """The source of the first picture."""
        return next(iter(self.pictures.values()))

    @cached_property
    def ids(self) -> npt.NDArray[np.str_]:
        """Lesions that have every picture, sorted."""
        return reduce(np.intersect1d, [source.ids for source in self.pictures.values()])

    @property
    def fingerprint(self) -> str:
        """Checksum of every source."""
        return fingerprint({name: source.fingerprint for name, source in self.pictures.items()})

    def read(self, lesion_id: str) -> bytes:
        """The encoded first picture of one lesion."""
        return self.first.read(lesion_id)
