"""Bad images in a folder, tried by `fusionnetx check`; the first lesion's image is the bad one."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from tests.bad_input.bench import Bench, Row, chosen

READ = (r"40 found, 0 missing, 0 extra", "a run can start (0 warnings)")


def ids(b: Bench) -> list[str]:
    return pl.read_csv(b.table(), infer_schema=False)["isic_id"].to_list()


def as_files(b: Bench) -> Path:
    """The training images as files in a folder; gives the first lesion's."""
    folder = b.data / "train-image" / "image"
    folder.mkdir(parents=True)
    for i, name in enumerate(ids(b)):
        (folder / f"{name}.jpg").write_bytes(encoded("JPEG", seed=i))
    b.hdf5().unlink()
    return folder / f"{ids(b)[0]}.jpg"


def encoded(form: str, mode: str = "RGB", size: tuple[int, int] = (24, 20), seed: int = 0, **options: Any) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(out, form, **options)
    return out.getvalue()


def holds(data: Callable[[], bytes]) -> Callable[[Bench], object]:
    """Give the first lesion another image."""
    return lambda b: as_files(b).write_bytes(data())


def in_place_of_it(make: Callable[[Path], object]) -> Callable[[Bench], object]:
    """Put something else under the name of the first lesion's image."""

    def damage(b: Bench) -> None:
        path = as_files(b)
        path.unlink()
        make(path)

    return damage


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded("JPEG", exif=exif)


def png_of(width: int, height: int, rows: bytes = b"") -> bytes:
    """A PNG that states a size, whatever it holds."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def jpeg_of(width: int, height: int) -> bytes:
    """A JPEG whose header states another size."""
    whole = encoded("JPEG")
    at = whole.index(b"\xff\xc0") + 5
    return whole[:at] + struct.pack(">HH", height, width) + whole[at + 4 :]


def scans(count: int) -> bytes:
    """A progressive JPEG whose last scan stands there again and again: small to store, long to decode."""
    out = io.BytesIO()
    Image.new("RGB", (2000, 2000)).save(out, "JPEG", progressive=True)
    whole = out.getvalue()
    last = whole.rindex(b"\xff\xda")
    return whole[:last] + whole[last:-2] * count + b"\xff\xd9"


def many_missing(b: Bench) -> None:
    first = as_files(b)
    for name in ids(b)[:8]:
        (first.parent / f"{name}.jpg").unlink()


def twice(b: Bench) -> None:
    path = as_files(b)
    path.with_suffix(".png").write_bytes(encoded("PNG"))


ROWS = [
    Row("CMYK", holds(lambda: encoded("JPEG", "CMYK")), READ, goes_on=True),
    Row("grey", holds(lambda: encoded("JPEG", "L")), READ, goes_on=True),
    Row("16 bits", holds(lambda: encoded("PNG", "I;16")), READ, goes_on=True),
    Row("palette", holds(lambda: encoded("PNG", "P")), READ, goes_on=True),
    Row("alpha", holds(lambda: encoded("PNG", "RGBA")), READ, goes_on=True),
    Row("1 x 1", holds(lambda: encoded("JPEG", size=(1, 1))), READ, goes_on=True),
    Row("1 x 3000", holds(lambda: encoded("JPEG", size=(1, 3000))), READ, goes_on=True),
    Row("turned by EXIF", holds(turned), READ, goes_on=True),
    Row("padded by zeros", holds(lambda: encoded("JPEG") + bytes(100)), READ, goes_on=True),
    Row(
        "a JPEG cut short",
        holds(lambda: encoded("JPEG")[:-200]),
        ("1 of 40 do not decode", "damaged JPEG"),
        goes_on=True,
    ),
    Row(
        "a PNG cut short",
        holds(lambda: encoded("PNG")[:-200]),
        ("1 of 40 do not decode", "damaged image"),
        goes_on=True,
    ),
    Row(
        "a JPEG of its first 20 bytes",
        holds(lambda: encoded("JPEG")[:20]),
        ("do not decode", "damaged JPEG"),
        goes_on=True,
    ),
    Row("zero bytes", holds(lambda: b""), ("1 of 40 do not decode", "empty: 0 bytes"), goes_on=True),
    Row("text", holds(lambda: b"404 Not Found\n"), ("not a JPEG", "begins with b'404 Not "), goes_on=True),
    Row("a GIF", holds(lambda: encoded("GIF")), ("1 of 40 do not decode", "begins with b'GIF8"), goes_on=True),
    Row("a JPEG of 10,000 x 10,000", holds(lambda: jpeg_of(10_000, 10_000)), ("10,000 x 10,000 pixels",), goes_on=True),
    Row("a PNG of 10,000 x 10,000", holds(lambda: png_of(10_000, 10_000)), ("10,000 x 10,000 pixels",), goes_on=True),
    Row(
        "a PNG of 2**31 x 2**31", holds(lambda: png_of(2**31 - 1, 2**31 - 1)), ("1 of 40 do not decode",), goes_on=True
    ),
    Row("a PNG of 0 x 5", holds(lambda: png_of(0, 5)), ("a size of 0 x 5 pixels",), goes_on=True),
    Row("a PNG that unpacks to 60 MB for 20 x 20", holds(lambda: png_of(20, 20, bytes(60_000_000))), goes_on=True),
    Row("a JPEG of 5,000 scans", holds(lambda: scans(5_000)), ("1 of 40 do not decode", "scans"), goes_on=True),
    Row("a pipe", in_place_of_it(os.mkfifo), ("1 of 40 do not decode", "not a file"), goes_on=True),
    Row("a folder", in_place_of_it(Path.mkdir), ("1 of 40 lesions have none",), goes_on=True),
    Row(
        "a link to nowhere",
        in_place_of_it(lambda p: p.symlink_to("gone")),
        ("cannot be read (No such file",),
        goes_on=True,
    ),
    Row("a link to a device", in_place_of_it(lambda p: p.symlink_to("/dev/zero")), ("not a file",), goes_on=True),
    Row("none for one lesion", lambda b: as_files(b).unlink(), ("1 of 40 lesions have none (ISIC_",), goes_on=True),
    Row("none for eight lesions", many_missing, ("8 of 40 lesions have none (ISIC_",)),
    Row(
        "one of a lesion not in the table",
        lambda b: as_files(b).with_name("X.jpg").write_bytes(encoded("JPEG")),
        ("1 of lesions not in the table (X)",),
        goes_on=True,
    ),
    Row("two of one lesion", twice, ("has two images of one lesion", "Keep one file per lesion")),
    Row(
        "a file where the folder should be",
        lambda b: (b.hdf5().unlink(), (b.data / "train-image").write_text("x")),
        ("not an HDF5 file",),
    ),
    Row(
        "an empty folder",
        lambda b: (b.hdf5().unlink(), (b.data / "train-image").mkdir()),
        ("40 of 40 lesions have none",),
    ),
    Row("no images at all", lambda b: b.hdf5().unlink(), ("train-image.hdf5 is missing, and so is the folder",)),
]


@pytest.mark.parametrize("row", chosen(ROWS), ids=lambda row: row.name)
def test_images(bench: Bench, row: Row) -> None:
    bench.check(row)
