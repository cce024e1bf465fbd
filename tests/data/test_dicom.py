"""DICOM pictures against closed forms, written here with pydicom."""

import builtins
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from data.errors import DataError
from data.images.decode import DecodeError, decode, pixels

pydicom = pytest.importorskip("pydicom")

GREY = np.arange(12, dtype=np.uint16).reshape(3, 4) * 300


def file(values: npt.NDArray[Any], photometric: str, bits: int = 8, **more: Any) -> bytes:
    """A DICOM file that holds these values uncompressed."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.Rows, data.Columns = values.shape[:2]
    data.SamplesPerPixel = 1 if values.ndim == 2 else 3
    if values.ndim == 3:
        data.PlanarConfiguration = 0
    data.PhotometricInterpretation = photometric
    data.BitsAllocated, data.BitsStored, data.HighBit = 8 * values.dtype.itemsize, bits, bits - 1
    data.PixelRepresentation = 0
    for name, value in more.items():
        setattr(data, name, value)
    data.add_new(0x7FE00010, "OW" if values.dtype.itemsize == 2 else "OB", values.tobytes())
    out = io.BytesIO()
    data.save_as(out, enforce_file_format=True)
    return out.getvalue()


def test_rgb_is_taken_as_it_is() -> None:
    values = np.random.default_rng(0).integers(0, 256, (6, 4, 3), dtype=np.uint8)
    np.testing.assert_array_equal(pixels(file(values, "RGB")), values)
    assert decode(file(values, "RGB"), 8).shape == (8, 8, 3)


def test_ybr_becomes_rgb() -> None:
    ybr = np.array([[[76, 85, 255], [150, 44, 21], [29, 255, 107], [128, 128, 128]]], dtype=np.uint8)
    y, b, r = np.moveaxis(ybr.astype(float), -1, 0) - np.array([0, 128, 128])[:, None, None]
    wanted = np.stack([y + 1.402 * r, y - 0.344136 * b - 0.714136 * r, y + 1.772 * b], axis=-1).clip(0, 255)
    np.testing.assert_allclose(pixels(file(ybr, "YBR_FULL")), wanted, atol=1.5)


def test_grey_without_a_window_fills_the_range_and_monochrome1_is_turned() -> None:
    wanted = np.rint(GREY / GREY.max() * 255)
    for photometric, seen in (("MONOCHROME2", wanted), ("MONOCHROME1", 255 - wanted)):
        shown = pixels(file(GREY, photometric, bits=12))
        np.testing.assert_allclose(shown[..., 0], seen, atol=1)
        assert (shown[..., 0] == shown[..., 2]).all()


@pytest.mark.parametrize("rescale", [(1.0, 0.0), (2.0, -1000.0)])
def test_the_window_is_applied_after_the_rescale(rescale: tuple[float, float]) -> None:
    slope, intercept = rescale
    centre, width = 1500.0, 2001.0
    data = file(
        GREY, "MONOCHROME2", bits=12, WindowCenter=centre, WindowWidth=width, RescaleSlope=slope,
        RescaleIntercept=intercept,
    )  # fmt: skip
    # PS3.3 C.11.2.1.2.1
    share = (slope * GREY + intercept - (centre - 0.5)) / (width - 1) + 0.5
    np.testing.assert_allclose(pixels(data)[..., 0], np.clip(share, 0, 1) * 255, atol=1)


def test_palettes_are_looked_up() -> None:
    index = np.array([[0, 1], [2, 3]], dtype=np.uint8)
    table = np.array([[0, 0, 0], [255, 0, 10], [0, 255, 20], [9, 8, 255]], dtype=np.uint16) * 257
    names = ("Red", "Green", "Blue")
    more: dict[str, Any] = {f"{name}PaletteColorLookupTableDescriptor": [4, 0, 16] for name in names}
    more |= {f"{name}PaletteColorLookupTableData": table[:, i].tobytes() for i, name in enumerate(names)}
    np.testing.assert_array_equal(pixels(file(index, "PALETTE COLOR", **more)), (table // 257)[index])


def test_jpeg_inside_dicom(make_jpeg: Callable[..., bytes]) -> None:
    from pydicom import dcmread
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEGBaseline8Bit

    encoded = make_jpeg(3, 32, 24)
    inside = dcmread(io.BytesIO(file(np.zeros((24, 32, 3), np.uint8), "YBR_FULL_422")))
    inside.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    inside.PixelData = encapsulate([encoded])
    out = io.BytesIO()
    inside.save_as(out, enforce_file_format=True)
    assert np.abs(pixels(out.getvalue()).astype(int) - pixels(encoded)).mean() < 3


@pytest.mark.parametrize("cut", [133, 300])
def test_damaged_files_are_told(cut: int) -> None:
    with pytest.raises(DataError, match="DICOM"):
        pixels(file(GREY, "MONOCHROME2", bits=12)[:cut])


def test_a_cut_picture_and_a_bomb_are_refused() -> None:
    with pytest.raises(DataError, match="cannot be decoded"):
        pixels(file(GREY, "MONOCHROME2", bits=12)[:-8])
    with pytest.raises(DataError, match="million are not decoded"):
        pixels(file(np.zeros((2, 2), np.uint8), "MONOCHROME2", Rows=60_000, Columns=60_000))


def test_without_the_extra_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    data = file(GREY, "MONOCHROME2", bits=12)
    real = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("pydicom"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(DataError, match=r"fusionnetx\[dicom\]"):
        pixels(data)


def test_other_bytes_are_no_dicom() -> None:
    with pytest.raises(DecodeError, match="nor DICOM"):
        pixels(b"\0" * 200)
