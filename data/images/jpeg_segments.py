"""What a JPEG says of itself before its picture begins, without decoding anything: its size, which way is up.

A reader of our own, because it must be bounded: others join the EXIF segments of a file one by one, which takes a
minute for 250,000 of them, and warn of each damaged tag.
"""

import struct
from collections.abc import Iterator

MOST_SEGMENTS = 1024
"""Before the picture. Cameras write ten; colour profiles and extended descriptions have at most 255 each."""

MOST_SCANS = 16
"""Of the largest picture that is decoded; of smaller ones, as many more."""

_ORIENTATION = 0x0112
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_FRAME = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
"""Marks that begin a picture's description: those of JPEG, and of JPEG-LS."""


def segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, begin and end of the content of every segment before the picture's data; ends where it is damaged."""
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF:  # padding
            place += 1
            continue
        if marker in _STANDALONE:
            place += 2
            continue
        if marker in (0xDA, 0xD9):
            return
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4])
        yield marker, place + 4, end
        place = end


def too_many(data: bytes) -> bool:
    """Whether there are more segments than any camera or program writes."""
    return any(number > MOST_SEGMENTS for number, _ in enumerate(segments(data), 1))


def too_many_scans(data: bytes, pixels: int, max_pixels: int) -> int:
    """How many scans a JPEG has, where they are more than can be meant; else 0.

    Every scan is decoded over the whole picture and takes a few bytes to store; good encoders write ten. Within a
    picture's data the two bytes that begin one cannot occur.
    """
    scans = data.count(b"\xff\xda")
    return scans if scans * pixels > MOST_SCANS * max_pixels else 0


def stated_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that a JPEG, JPEG-LS or JPEG 2000 picture states; None where it states none."""
    stream = data.find(b"\xff\x4f\xff\x51")
    if data[:2] != b"\xff\xd8":
        if stream < 0 or len(data) < stream + 24:
            return None
        right, bottom, left, top = struct.unpack(">4I", data[stream + 8 : stream + 24])
        return right - left, bottom - top
    for marker, begin, _ in segments(data):
        if marker in _FRAME:
            return int.from_bytes(data[begin + 3 : begin + 5]), int.from_bytes(data[begin + 1 : begin + 3])
    return None


def orientation(data: bytes) -> int:
    """EXIF orientation of a JPEG, 1 (upright) where there is none or it cannot be read: the picture itself is whole."""
    for marker, begin, end in segments(data):
        if marker == 0xE1 and data[begin : begin + 6] == b"Exif\0\0":
            return orientation_in(data[begin + 6 : end])
    return 1


def orientation_in(block: bytes) -> int:
    """Orientation in a block of EXIF, a small TIFF file: one look through its first directory."""
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None or len(block) < 8:
        return 1
    directory = struct.unpack(f"{order}I", block[4:8])[0]
    if directory + 2 > len(block):
        return 1
    count = struct.unpack(f"{order}H", block[directory : directory + 2])[0]
    for place in range(directory + 2, min(directory + 2 + 12 * count, len(block) - 11), 12):
        tag, kind, number = struct.unpack(f"{order}HHI", block[place : place + 8])
        if tag == _ORIENTATION and kind in (3, 4) and number == 1:
            value = struct.unpack(
                order + ("H" if kind == 3 else "I"), block[place + 8 : place + (10 if kind == 3 else 12)]
            )
            return int(value[0]) if value[0] in range(1, 9) else 1
    return 1
