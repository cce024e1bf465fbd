"""Input that is small to send and large to take: refused before it takes anything."""

import io
import struct
import time
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from data.errors import DataError
from data.files import read_whole
from data.ids import as_ids
from data.images.decode import DecodeError, decode, pixels
from data.images.jpeg_segments import stated_size
from data.images.sources import Hdf5Images
from data.tables.csv import read_csv
from data.tables.schema import Column, validate
from tests.time_limit import no_longer_than


def jpeg(size: tuple[int, int] = (24, 20), **options: Any) -> bytes:
    out = io.BytesIO()
    values = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(values).save(out, "JPEG", **options)
    return out.getvalue()


def with_segments(count: int, content: bytes = b"Exif\0\0" + b"x" * 30) -> bytes:
    segment = b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content
    return jpeg()[:2] + segment * count + jpeg()[2:]


def test_an_id_longer_than_any_is_refused_by_its_place() -> None:
    with pytest.raises(DataError, match=r"train\.csv: id 2 has 20,000,000 characters"):
        as_ids(["a", "x" * 20_000_000], "train.csv")


def test_a_long_id_is_one_line_among_the_problems_of_a_table(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("isic_id,sex\na,male\n" + "x" * 300 + ",male\n")
    found = validate(read_csv(path), [Column("isic_id", "text", nullable=False), Column("sex", "category")])
    assert found.errors == ["column isic_id: 1 value is of more than 256 characters (line 3: '" + "x" * 37 + "...')"]


def test_a_long_key_of_an_hdf5_file_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "images.hdf5", "w") as file:
        file.create_dataset("x" * 5000, data=np.bytes_(b"\xff\xd8"))
    with pytest.raises(DataError, match="id 1 has 5,000 characters"):
        _ = Hdf5Images(tmp_path / "images.hdf5").ids


@pytest.mark.parametrize("line", ["\n", "\r\n", " \n", "a\n"])
def test_millions_of_empty_lines_are_refused_before_polars_sees_them(line: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(",".join(f"c{i}" for i in range(50)) + "\n" + line * 300_000)
    with pytest.raises(DataError, match=r"300,000 (empty lines|rows do not have the header's 50 cells)"):
        read_csv(path)


def test_many_quoted_line_breaks_are_no_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + '"x\ny\nz",1\n' * 20_000)
    assert read_csv(path).frame.height == 20_000


def test_a_file_of_holes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for size in (2**29, 200 * 2**30):
        with path.open("wb") as file:
            file.truncate(size)
        with pytest.raises(OSError, match=r"holes|more than any table"):
            read_whole(path)
        with pytest.raises(DataError, match="cannot be read"):
            read_csv(path)


def test_a_quarter_of_a_million_segments_are_refused_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(DecodeError, match="more than 1,024 segments"):
        decode(with_segments(250_000), 32)
    assert time.monotonic() - began < 5
    assert decode(with_segments(1000), 32).shape == (32, 32, 3)


def test_damaged_tags_warn_of_nothing() -> None:
    entries = b"".join(struct.pack("<HHII", 0x0112, 3, 2000 + i, 8) for i in range(4000))
    block = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 4000) + entries
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(with_segments(1, block), 32).shape == (32, 32, 3)


@pytest.mark.parametrize("form", ["JPEG", "JPEG2000"])
def test_the_stated_size_of_a_picture_is_known_without_decoding(form: str) -> None:
    out = io.BytesIO()
    Image.new("RGB", (70, 30)).save(out, form)
    assert stated_size(out.getvalue()) == (70, 30)


def dicom(content: bytes, syntax: str, side: int) -> bytes:
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.Rows = data.Columns = side
    data.SamplesPerPixel, data.PlanarConfiguration, data.PhotometricInterpretation = 3, 0, "RGB"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.PixelData = encapsulate([content]) if syntax.startswith("1.2.840.10008.1.2.4") else content
    data["PixelData"].VR = "OB"
    out = io.BytesIO()
    data.save_as(out, enforce_file_format=True)
    return out.getvalue()


def test_a_deflated_dicom_file_is_not_unpacked() -> None:
    with pytest.raises(DataError, match="deflated DICOM"):
        pixels(dicom(bytes(8 * 8 * 3), "1.2.840.10008.1.2.1.99", 8))


def test_a_large_picture_in_a_dicom_file_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    large = bytearray(jpeg())
    place = large.index(b"\xff\xc0")
    large[place + 5 : place + 9] = struct.pack(">HH", 13_000, 13_000)
    monkeypatch.setattr("data.images.dicom._shown", lambda _dataset: pytest.fail("it was decoded"))
    with pytest.raises(DataError, match="13,000 x 13,000 pixels"):
        pixels(dicom(bytes(large), "1.2.840.10008.1.2.4.50", 20))


def test_a_picture_of_thousands_of_scans_in_a_dicom_file_is_refused_as_one_by_itself() -> None:
    out = io.BytesIO()
    Image.new("L", (600, 600), 90).save(out, "JPEG", progressive=True)
    whole = out.getvalue()
    scan = whole[whole.rindex(b"\xff\xda") : -2]
    many = whole[:-2] + scan * 3000 + whole[-2:]
    for content in (many, dicom(many, "1.2.840.10008.1.2.4.50", 600)):
        with no_longer_than(2), pytest.raises(DataError, match=r"3,\d\d\d scans of 600 x 600 pixels"):
            pixels(content)
