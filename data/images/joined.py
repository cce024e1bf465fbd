"""Sources seen through others: several places as one, other names than the lesions', several pictures of a lesion."""

from collections.abc import Mapping, Sequence
from functools import cached_property, reduce
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.files import fingerprint
from data.ids import as_ids
from data.images.sources import SUFFIXES, ImageSource


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


class NamedImages:
    """The images of `source` that `names` gives, by lesion id."""

    def __init__(self, source: ImageSource, names: Mapping[str, str]) -> None:
        self.source = source
        self.names = dict(names)

    def __repr__(self) -> str:
        return repr(self.source)

    @cached_property
    def ids(self) -> npt.NDArray[np.str_]:
        """Lesions whose image is there, sorted."""
        there = set(self.source.ids.tolist())
        return as_ids(sorted(lesion for lesion, name in self.names.items() if name in there), self.source)

    @property
    def fingerprint(self) -> str:
        """Checksum of the source's content and of the names."""
        return fingerprint({"source": self.source.fingerprint, "names": self.names})

    def read(self, lesion_id: str) -> bytes:
        """The encoded image of one lesion."""
        name = self.names.get(lesion_id)
        if name is None:
            raise DataError(f"the table names no image of {lesion_id}")
        return self.source.read(name)


def stem_of(name: str) -> str:
    """The name by which a folder of images knows a file: without folders, and without the suffix of an image."""
    path = PurePosixPath(name.strip().replace("\\", "/"))
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


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
