"""Image sources: where the bytes of a lesion's image come from, whatever holds them.

An `ImageSource` gives encoded bytes by lesion id. It opens its file on first use, so it can be pickled and sent to
another process. What the bytes mean is left to `data.images.decode`, which looks at the content and not at the name:
another format is one more suffix here and one more branch there.
"""

import hashlib
import os
import stat
import threading
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.files import fingerprint
from data.ids import as_ids
from data.images.hdf5_dataset import read_dataset, refuse_too_large

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".dcm", ".dicom"})

_SAMPLED_BLOCKS = 64
_BLOCK_BYTES = 2**16


class ImageSource(Protocol):
    """Encoded images by lesion id."""

    @property
    def ids(self) -> npt.NDArray[np.str_]:
        """Every id there is, sorted."""

    @property
    def fingerprint(self) -> str:
        """Checksum of the content, the same wherever the files lie; sampled, so that it is cheap."""

    def read(self, lesion_id: str) -> bytes:
        """The encoded image; DataError with the reason when it is absent or cannot be read."""


def sampled_checksum(path: Path) -> str:
    """Checksum of a file's size and of 64 blocks spread evenly over it, head and tail included.

    Independent of the file's name, place and times. All of the bytes are read up to 4 MiB. In a larger file a change
    that keeps the size and falls between the blocks goes unseen: files of images are replaced, not edited in place.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as handle:
        last = max(size - _BLOCK_BYTES, 0)
        for start in sorted({last * i // (_SAMPLED_BLOCKS - 1) for i in range(_SAMPLED_BLOCKS)}):
            handle.seek(start)
            digest.update(handle.read(_BLOCK_BYTES))
    return digest.hexdigest()


class AtPath:
    """A source that is one file or folder; pickled it is the path alone: another process opens it for itself."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}


class Hdf5Images(AtPath):
    """An HDF5 file whose root keys are lesion ids, each a scalar byte string holding an encoded image (Kaggle's form).

    One-dimensional uint8 data sets are read too. Links to other places are never followed: a file of images has no need
    of them, and an external link makes its reader open any file on the machine.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._file: Any = None
        self._descriptor: int | None = None
        self._opened_by = -1
        self._lock = threading.Lock()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]

    def _open(self) -> Any:
        """The file, opened by this process: HDF5's state does not survive a fork."""
        if self._opened_by == os.getpid():
            return self._file
        import h5py

        # A pipe would be waited for.
        if self.path.exists() and not self.path.is_file():
            raise DataError(f"{self.path} is not a file. Give an HDF5 file or a folder of images.")
        with self._lock:
            if self._opened_by != os.getpid():
                try:
                    self._file = h5py.File(self.path, "r")
                except FileNotFoundError:
                    raise DataError(f"{self.path} does not exist.") from None
                except (OSError, RuntimeError) as error:
                    raise DataError(_why_hdf5_fails(self.path, str(error))) from error
                # What other drivers than the plain file's call a handle is no descriptor.
                plain = self._file.driver == "sec2"
                self._descriptor = int(self._file.id.get_vfd_handle()) if plain else None
                self._opened_by = os.getpid()
        return self._file

    @cached_property
    def ids(self) -> npt.NDArray[np.str_]:
        """Every root key, sorted."""
        file = self._open()
        try:
            return as_ids(sorted(file), self.path)
        except (OSError, RuntimeError, ValueError) as error:
            raise DataError(f"{self.path}: the list of images is damaged ({error}). Copy the file again.") from error

    @cached_property
    def fingerprint(self) -> str:
        """Checksum of size and sampled blocks; see `sampled_checksum`."""
        self._open()
        return sampled_checksum(self.path)

    def read(self, lesion_id: str) -> bytes:
        """The encoded image of one lesion."""
        from h5py import h5d, h5l, h5o

        file = self._open().id
        try:
            key = lesion_id.encode()
            # A slash would walk into groups; names of the root alone are ids.
            if "/" in lesion_id or lesion_id in {"", "."} or not file.links.exists(key):
                raise DataError(f"{self.path.name} has no image of {lesion_id}")
            if file.links.get_info(key).type != h5l.TYPE_HARD:
                raise DataError(f"{self.path.name}: {lesion_id} is a link to another place, which is not followed")
            thing = h5o.open(file, key)
            if not isinstance(thing, h5d.DatasetID):
                raise DataError(f"{self.path.name}: {lesion_id} is a group, where a data set with an image is expected")
            return read_dataset(thing, f"{self.path.name}: {lesion_id}", self._descriptor)
        except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{self.path.name}: the image of {lesion_id} cannot be read ({error})") from error


def _why_hdf5_fails(path: Path, reason: str) -> str:
    if "truncated" in reason:
        return f"{path} ends too early: the copy is incomplete. Copy or unpack it again."
    if "signature not found" in reason:
        size = path.stat().st_size
        return f"{path} is not an HDF5 file ({size:,} bytes). Copy or unpack it again."
    return f"{path} cannot be opened as HDF5: {reason}."


class FolderImages(AtPath):
    """A folder of image files (`SUFFIXES`) at any depth, named after their lesions (`train-image/image/<id>.jpg`)."""

    @cached_property
    def _paths(self) -> dict[str, str]:
        """Path of every image relative to the folder, by id."""
        if not self.path.is_dir():
            raise DataError(f"{self.path} is not a folder of images.")
        found: dict[str, str] = {}
        twice: list[str] = []
        for folder, folders, files in os.walk(self.path):
            # Hidden names are file managers' thumbnails and resource forks ("._x.jpg"), not images.
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                stem, suffix = os.path.splitext(name)  # noqa: PTH122 - four times faster than Path over 400,000 names
                if suffix.lower() not in SUFFIXES or name.startswith("."):
                    continue
                path = os.path.relpath(folder, self.path) + "/" + name
                if stem in found:
                    twice.append(f"{found[stem]} and {path}")
                found[stem] = path
        if twice:
            more = f" and {len(twice) - 3} more" if len(twice) > 3 else ""
            raise DataError(
                f"{self.path} has two images of one lesion: {'; '.join(twice[:3])}{more}. Keep one file per lesion."
            )
        return found

    @cached_property
    def ids(self) -> npt.NDArray[np.str_]:
        """Every file's stem, sorted."""
        return as_ids(sorted(self._paths), self.path)

    @cached_property
    def fingerprint(self) -> str:
        """Checksum of every name and size, and of the content of 64 files spread evenly over the sorted names.

        An edit that keeps an unsampled file's size goes unseen, as in `sampled_checksum`.
        """
        names = sorted(self._paths.values())
        sizes = [(self.path / name).stat().st_size for name in names]
        sampled = sorted({len(names) * i // _SAMPLED_BLOCKS for i in range(_SAMPLED_BLOCKS)}) if names else []
        contents = [sampled_checksum(self.path / names[i]) for i in sampled]
        return fingerprint({"names": names, "sizes": sizes, "contents": contents})

    def read(self, lesion_id: str) -> bytes:
        """The encoded image of one lesion."""
        name = self._paths.get(lesion_id)
        if name is None:
            raise DataError(f"{self.path.name} has no image of {lesion_id}")
        return image_bytes(self.path / name)


class OneImage(AtPath):
    """The image of a single lesion, which is called as the file is."""

    @property
    def ids(self) -> npt.NDArray[np.str_]:
        """The file's stem."""
        return as_ids([self.path.stem], self.path)

    @property
    def fingerprint(self) -> str:
        """Checksum of the file."""
        return sampled_checksum(self.path)

    def read(self, lesion_id: str) -> bytes:
        """The encoded image."""
        if lesion_id != self.path.stem:
            raise DataError(f"{self.path} is no image of {lesion_id}")
        return image_bytes(self.path)


def image_bytes(path: Path) -> bytes:
    """What a file of an image holds."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise DataError(f"{path} is not a file but a folder, pipe or device")
        refuse_too_large(found.st_size, f"{path} takes")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from error
