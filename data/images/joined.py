"""Images that lie in several places, seen as one source."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.files import fingerprint
from data.ids import as_ids
from data.images.sources import ImageSource


class JoinedImages:
    """The images of several sources, none of which has an image of another's lesion."""

    def __init__(self, sources: Sequence[ImageSource]) -> None:
        self.sources = tuple(sources)

    def __repr__(self) -> str:
        return f"JoinedImages({', '.join(map(repr, self.sources))})"

    @cached_property
    def _place(self) -> dict[str, int]:
        """Which source has a lesion's image."""
        place: dict[str, int] = {}
        for number, source in enumerate(self.sources):
            for name in source.ids.tolist():
                if name in place:
                    other = self.sources[place[name]]
                    raise DataError(f"{source!r} and {other!r} both have an image of {name}. Keep one of them.")
                place[name] = number
        return place

    @cached_property
    def ids(self) -> npt.NDArray[np.str_]:
        """Every id of every source, sorted."""
        return as_ids(sorted(self._place), repr(self))

    @cached_property
    def fingerprint(self) -> str:
        """Checksum of all sources."""
        return fingerprint([source.fingerprint for source in self.sources])

    def read(self, lesion_id: str) -> bytes:
        """The encoded image of one lesion."""
        if lesion_id not in self._place:
            raise DataError(f"no source has an image of {lesion_id}")
        return self.sources[self._place[lesion_id]].read(lesion_id)
