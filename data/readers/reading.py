"""What a reader of a data set is, and what it could make of a data folder when not all of it is right.

A reader returns a `DataFolder` or raises `FolderError`, which carries every problem found and the parts that could be
read, so that `data.check` can go on to look at the images.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from data.cohort import Cohort, DataFolder
from data.errors import DataError
from data.images.sources import FolderImages, Hdf5Images, ImageSource

Unlabelled = tuple[Cohort, ImageSource | None, tuple[str, ...]]
"""Lesions to predict, their images (None for a data set or a call without any), and notes."""


class Reader(Protocol):
    """How one data set is read: a module with these two functions, or an object with these methods."""

    def read(self, folder: Path, /) -> DataFolder:
        """Read and validate a folder as published; `FolderError` lists every problem of every file."""

    def read_test(self, metadata_path: Path, images_path: Path | None, /) -> Unlabelled:
        """Read lesions to predict, from a table without the columns that only a diagnosis gives, and their images."""


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


def given_images(path: Path | None, found: Readout) -> ImageSource | None:
    """Images that a caller named: None when none were, and an error in `found` when they are not there."""
    if path is None:
        return None
    if not path.exists():
        found.errors.append(f"{path} does not exist (an HDF5 file or a folder of images)")
        return None
    return images_at(path)


def cohort_of(found: Readout, where: Path) -> Cohort:
    """The training cohort of a readout; `FolderError` when there is none or anything is wrong with it."""
    if found.errors or found.train is None:
        raise FolderError(where, found)
    return found.train
