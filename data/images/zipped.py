"""A zip archive of images, read where it lies: nobody has to unpack 400,000 small files first.

Images are named after their lesions, in any folder of the archive; anything else in it is left alone. An entry is read
from its place by itself, so threads and processes need not take turns.
"""

import os
import struct
import zipfile
import zlib
from functools import cached_property
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.ids import as_ids
from data.images.hdf5_dataset import refuse_too_large
from data.images.sources import SUFFIXES, AtPath, sampled_checksum

HEADER = struct.Struct("<4s22xHH")
"""What stands before an entry: a signature, fields that the list repeats, the lengths of its name and extra field."""
SIGNATURE = b"PK\x03\x04"
ENCRYPTED, NAMED_IN_UTF8 = 1, 0x800
PLACE = [("place", np.int64), ("packed", np.int64), ("size", np.int64), ("crc", np.uint32), ("method", np.uint16)]


class ZippedImages(AtPath):
    """The images of a zip archive."""

    @cached_property
    def _listed(self) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.void]]:
        """The id of every image, sorted, and where it lies: a tenth of the memory of zipfile's own list."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                entries = {spelled(entry): entry for entry in archive.infolist() if is_image(entry)}
        except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
            raise DataError(f"{self.path} cannot be opened as a zip archive ({error}). Fetch it again.") from error
        names = {PurePosixPath(name).stem: name for name in entries}
        if len(names) < len(entries):
            doubled = next(name for name in entries if names[PurePosixPath(name).stem] != name)
            other = names[PurePosixPath(doubled).stem]
            raise DataError(f"{self.path} has two images of one lesion: {doubled} and {other}. Keep one of them.")
        ids = sorted(names)
        found = np.zeros(len(ids), dtype=PLACE)
        for row, name in enumerate(ids):
            entry = entries[names[name]]
            method = entry.compress_type if not entry.flag_bits & ENCRYPTED else np.iinfo(np.uint16).max
            found[row] = (entry.header_offset, entry.compress_size, entry.file_size, entry.CRC, method)
        return as_ids(ids, self.path), found

    @property
    def ids(self) -> npt.NDArray[np.str_]:
        """Every image's stem, sorted."""
        return self._listed[0]

    @cached_property
    def fingerprint(self) -> str:
        """Checksum of size and sampled blocks; see `sampled_checksum`."""
        return sampled_checksum(self.path)

    def read(self, lesion_id: str) -> bytes:
        """The encoded image of one lesion."""
        ids, found = self._listed
        row = int(np.searchsorted(ids, lesion_id))
        if row == len(ids) or ids[row] != lesion_id:
            raise DataError(f"{self.path.name} has no image of {lesion_id}")
        what = f"{self.path.name}: the image of {lesion_id}"
        place, packed, size, crc, method = found[row].item()
        refuse_too_large(max(packed, size), f"{what} takes")
        try:
            stored = self._stored(place, packed)
            data = unpacked(stored, size, method)
        except (OSError, struct.error, zlib.error) as error:
            raise DataError(f"{what} cannot be read ({error}). Fetch the archive again.") from error
        if len(data) != size or zlib.crc32(data) != crc:
            raise DataError(f"{what} is damaged. Fetch the archive again.")
        return data

    def _stored(self, place: int, count: int) -> bytes:
        """The bytes of an entry as they lie in the file."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            signature, name, extra = HEADER.unpack(os.pread(descriptor, HEADER.size, place))
            if signature != SIGNATURE:
                raise OSError("its place in the archive holds something else")
            return os.pread(descriptor, count, place + HEADER.size + name + extra)
        finally:
            os.close(descriptor)


def is_image(entry: zipfile.ZipInfo) -> bool:
    """Whether an entry is an image; hidden names, and a Mac's second folder, hold thumbnails and resource forks."""
    name = PurePosixPath(entry.filename)
    return name.suffix.lower() in SUFFIXES and not any(part.startswith((".", "__MACOSX")) for part in name.parts)


def spelled(entry: zipfile.ZipInfo) -> str:
    """The name of an entry; a Mac writes UTF-8 without saying so, which zipfile then takes for the letters of DOS."""
    if entry.flag_bits & NAMED_IN_UTF8:
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return entry.filename


def unpacked(stored: bytes, size: int, method: int) -> bytes:
    """What a stored entry holds; never more than it states."""
    if method == zipfile.ZIP_STORED:
        return stored
    if method != zipfile.ZIP_DEFLATED:
        raise OSError("it is encrypted, or packed in a way that this reader does not know")
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(stored, size + 1)
