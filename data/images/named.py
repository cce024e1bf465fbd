"""Images under other names than their lesions': a source seen through a table of names.

For data sets whose tables name files (`PAT_8_15_820.png`), or whose folders hold more than the lesions' pictures
(masks, overviews): only what is named is there.
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.files import fingerprint
from data.ids import as_ids
from data.images.sources import SUFFIXES, ImageSource


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
