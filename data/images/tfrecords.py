"""Images in TFRecord files, read without TensorFlow: framed records with checksums, each a `tf.train.Example`.

A record is its length (8 bytes), a checksum of that, its content, and a checksum of the content (CRC-32C, turned and
shifted as the format says). The content is a protocol buffer of named features; of these the image and its name count.
"""

import struct
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.files import fingerprint
from data.ids import as_ids
from data.images.hdf5_dataset import refuse_too_large
from data.images.sources import AtPath, sampled_checksum

SUFFIXES = frozenset({".tfrecord", ".tfrecords", ".tfrec"})
IMAGE_FEATURES = ("image", "image/encoded", "image_raw", "image_bytes")
NAME_FEATURES = ("image_name", "image_id", "isic_id", "id", "image/filename", "filename")
VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5
"""How a field of a protocol buffer is written."""


def _table() -> list[int]:
    rows = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 * (value & 1))
        rows.append(value)
    return rows


CRC_TABLE = _table()


def masked_crc(data: bytes) -> int:
    """CRC-32C (Castagnoli) of the bytes, masked as TFRecord files have it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of every delimited field of a protocol buffer; ValueError where it is none."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == VARINT:
            _, at = varint(data, at)
            continue
        length, at = varint(data, at) if kind == DELIMITED else ({FIXED64: 8, FIXED32: 4}.get(kind, -1), at)
        if length < 0 or at + length > len(data):
            raise ValueError("a field ends outside its record")
        if kind == DELIMITED:
            yield key >> 3, data[at : at + length]
        at += length


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        value |= (data[at] & 127) << shift
        at += 1
        if not data[at - 1] & 128:
            return value, at
    raise ValueError("a number has no end")


def byte_features(record: bytes) -> dict[str, bytes]:
    """The features of an Example that hold bytes: the first value of each."""
    found = {}
    for entry in (entry for number, features in fields(record) if number == 1 for _, entry in fields(features)):
        parts = dict(fields(entry))
        lists = dict(fields(parts.get(2, b"")))
        values = [value for number, value in fields(lists.get(1, b"")) if number == 1]
        if values:
            found[parts.get(1, b"").decode("utf-8")] = values[0]
    return found


class TFRecordImages(AtPath):
    """The images of one TFRecord file, or of all that a folder holds."""

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """The files, sorted."""
        if self.path.is_file():
            return (self.path,)
        return tuple(sorted(path for path in self.path.iterdir() if path.suffix.lower() in SUFFIXES))

    @cached_property
    def _places(self) -> dict[str, tuple[Path, int, int]]:
        """File, place and length of every image's record."""
        places: dict[str, tuple[Path, int, int]] = {}
        for path in self.files:
            for at, record in records(path):
                name = name_of(features_of(record, path, at), path, at)
                if name in places:
                    raise DataError(f"{path}: a second image of {name}. Keep one of them.")
                places[name] = (path, at, len(record))
        return places

    @cached_property
    def ids(self) -> npt.NDArray[np.str_]:
        """Every image's name, sorted."""
        return as_ids(sorted(self._places), self.path)

    @cached_property
    def fingerprint(self) -> str:
        """Checksum of every file; see `sampled_checksum`."""
        return fingerprint([sampled_checksum(path) for path in self.files])

    def read(self, lesion_id: str) -> bytes:
        """The encoded image of one lesion, its checksum checked."""
        if lesion_id not in self._places:
            raise DataError(f"{self.path.name} has no image of {lesion_id}")
        path, at, length = self._places[lesion_id]
        with path.open("rb") as handle:
            handle.seek(at)
            record, stated = handle.read(length), handle.read(4)
        if len(stated) < 4 or struct.unpack("<I", stated)[0] != masked_crc(record):
            raise DataError(f"{path.name}: the record of {lesion_id} is damaged. Copy the file again.")
        found = features_of(record, path, at)
        image = next((found[name] for name in IMAGE_FEATURES if name in found), None)
        if image is None:
            raise DataError(f"{path.name}: the record of {lesion_id} has no feature {' or '.join(IMAGE_FEATURES)}")
        return image


def records(path: Path) -> Iterator[tuple[int, bytes]]:
    """Where the content of each record begins, and the content; lengths are checked, contents when they are used."""
    with path.open("rb") as handle:
        while head := handle.read(12):
            at = handle.tell()
            if len(head) < 12 or struct.unpack("<I", head[8:])[0] != masked_crc(head[:8]):
                raise DataError(f"{path}: byte {at - len(head):,} begins no record: it is damaged or no TFRecord file.")
            (length,) = struct.unpack("<Q", head[:8])
            refuse_too_large(length, f"{path.name}: the record at byte {at:,} takes")
            content = handle.read(length)
            if len(content) < length or len(handle.read(4)) < 4:
                raise DataError(f"{path} ends within a record: the copy is incomplete. Copy it again.")
            yield at, content


def features_of(record: bytes, path: Path, at: int) -> dict[str, bytes]:
    """The features of a record; DataError where it holds no Example."""
    try:
        return byte_features(record)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: the record at byte {at:,} is no tf.train.Example ({error}).") from error


def name_of(found: dict[str, bytes], path: Path, at: int) -> str:
    """What a record calls its image, without a folder and a suffix."""
    name = next((found[key] for key in NAME_FEATURES if key in found), None)
    if name is None:
        raise DataError(
            f"{path}: the record at byte {at:,} does not name its image: one of {', '.join(NAME_FEATURES)} is needed, "
            f"and it has {', '.join(sorted(found)) or 'no feature of bytes'}"
        )
    from data.images.joined import stem_of

    return stem_of(name.decode("utf-8", errors="replace"))
