"""TFRecord files, written here by the letter of the format, and every damage named."""

import pickle
import struct
from pathlib import Path

import pytest

from data.errors import DataError
from data.images.tfrecords import TFRecordImages, masked_crc
from data.readers.reading import images_at


def crc32c(data: bytes) -> int:
    """CRC-32C bit by bit, as long division has it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17) & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF)


def field(number: int, data: bytes) -> bytes:
    """A delimited field of a protocol buffer."""
    size, length = len(data), b""
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + data


def example(**features: bytes | int) -> bytes:
    entries = b""
    for name, value in features.items():
        kind = field(1, field(1, value)) if isinstance(value, bytes) else field(3, bytes([1 << 3, value]))
        entries += field(1, field(1, name.encode()) + field(2, kind))
    return field(1, entries)


def framed(*contents: bytes) -> bytes:
    lengths = [struct.pack("<Q", len(content)) for content in contents]
    return b"".join(
        length + masked(length) + content + masked(content) for length, content in zip(lengths, contents, strict=True)
    )


PICTURES = {f"ISIC_{i}": bytes(range(200)) * (i + 1) for i in range(3)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    every = [example(image=data, image_name=name.encode(), target=1, sex=b"male") for name, data in PICTURES.items()]
    (tmp_path / "train00.tfrec").write_bytes(framed(*every[:2]))
    (tmp_path / "train01.tfrec").write_bytes(framed(*every[2:]))
    return tmp_path


def test_the_checksum_is_the_published_one() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    for data in (b"", b"123456789", bytes(range(256))):
        assert struct.pack("<I", masked_crc(data)) == masked(data)


def test_images_are_those_that_were_written(folder: Path) -> None:
    source = images_at(folder)
    assert isinstance(source, TFRecordImages)
    for one in (source, pickle.loads(pickle.dumps(source))):  # noqa: S301 - what was written in the same line
        assert one.ids.tolist() == sorted(PICTURES)
        assert all(one.read(name) == data for name, data in PICTURES.items())
    assert images_at(folder / "train01.tfrec").ids.tolist() == ["ISIC_2"]
    with pytest.raises(DataError, match="no image of x"):
        source.read("x")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-3], "ends within a record"),
        (lambda data: data[:200], "ends within a record"),
        (lambda data: b"x" + data[1:], "begins no record"),
        (lambda data: data + b"abc", "begins no record"),
        (lambda data: data + framed(b"\x0a\xff"), "is no tf.train.Example"),
        (lambda data: data + framed(example(image=b"x")), "does not name its image"),
        (lambda data: data + framed(example(image=b"x", image_name=b"ISIC_0")), "a second image of ISIC_0"),
    ],
)
def test_damage_is_named(folder: Path, change: object, message: str) -> None:
    path = folder / "train00.tfrec"
    path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(DataError, match=message):
        _ = TFRecordImages(path).ids


def test_a_changed_pixel_is_found_when_it_is_read(folder: Path) -> None:
    path = folder / "train00.tfrec"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match="the record of ISIC_0 is damaged"):
        TFRecordImages(path).read("ISIC_0")
