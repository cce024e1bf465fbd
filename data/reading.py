"""What a reader could make of a data folder when not all of it is right.

A reader returns a `DataFolder` or raises `FolderError`, which carries every problem found and the parts that could be
read, so that `data.check` can go on to look at the images.
"""

from dataclasses import dataclass, field
from pathlib import Path

from data.cohort import Cohort
from data.errors import DataError
from data.images import FolderImages, Hdf5Images, ImageSource


@dataclass
class Readout:
    """The parts of a data folder, None where one is missing or unusable, with all problems and notes."""

    train: Cohort | None = None
    test: Cohort | None = None
    train_images: ImageSource | None = None
    test_images: ImageSource | None = None
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class FolderError(DataError):
    """All that is wrong with a data folder, in one message."""

    def __init__(self, folder: Path, readout: Readout) -> None:
        count = len(readout.errors)
        lines = "".join(f"\n  - {error}" for error in readout.errors)
        super().__init__(f"{folder}: {count} problem{'s' * (count != 1)} to correct in the data{lines}")
        self.readout = readout


def images_at(path: Path) -> ImageSource:
    """The image source a path stands for: an HDF5 file or a folder of images."""
    return FolderImages(path) if path.is_dir() else Hdf5Images(path)
