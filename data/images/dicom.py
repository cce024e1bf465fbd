"""DICOM files as pictures: what a viewer would show, as 8-bit RGB.

Photometric interpretation, palettes, YBR, the rescale and the window are applied by pydicom (the optional extra
[dicom]); of several frames the first is taken. Everything else in the file, the patient's name included, is not read.
"""

import io
from typing import Any

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.images.jpeg_segments import stated_size, too_many_scans

UNBOUNDED = (b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.8.1")
"""Transfer syntaxes (deflated) whose size nobody knows before they are unpacked; pictures hardly ever have them."""
GREY = ("MONOCHROME1", "MONOCHROME2")


def is_dicom(data: bytes) -> bool:
    """Whether the bytes begin like a DICOM file: 128 bytes of anything, then DICM."""
    return data[128:132] == b"DICM"


def dicom_pixels(data: bytes, max_pixels: int) -> npt.NDArray[np.uint8]:
    """The first frame as `(height, width, 3)` uint8 RGB; DataError with the reason when there is none."""
    if any(syntax in data for syntax in UNBOUNDED):
        raise DataError("a deflated DICOM file, which may unpack to any size; convert it (dcmconv +te)")
    try:
        from pydicom import config, dcmread
    except ImportError:
        raise DataError("a DICOM image takes the extra [dicom]: pip install 'fusionnetx[dicom]'") from None
    try:
        dataset = dcmread(io.BytesIO(data))
        height, width = int(dataset.Rows), int(dataset.Columns)
    except Exception as error:
        raise DataError(f"damaged DICOM file, or one without a picture ({error})") from error
    if height * width > max_pixels:
        raise DataError(f"{width:,} x {height:,} pixels; more than {max_pixels / 1e6:.0f} million are not decoded")
    _refuse_larger_picture(dataset, max_pixels)
    try:
        with config.disable_value_validation():
            return np.ascontiguousarray(_shown(dataset))
    # Damaged pixel data raise nearly every kind of exception there.
    except Exception as error:
        raise DataError(f"the picture in the DICOM file cannot be decoded ({error})") from error


def _refuse_larger_picture(dataset: Any, max_pixels: int) -> None:
    """DataError when a compressed picture states more pixels than are decoded, whatever the file says of it."""
    from pydicom.encaps import generate_frames

    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    try:
        frame = next(generate_frames(dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames", 1))))
        size = stated_size(frame)
    except Exception as error:
        raise DataError(f"the picture in the DICOM file cannot be decoded ({error})") from error
    if size is None:
        return
    if size[0] * size[1] > max_pixels:
        raise DataError(f"{size[0]:,} x {size[1]:,} pixels; more than {max_pixels / 1e6:.0f} million are not decoded")
    if scans := too_many_scans(frame, size[0] * size[1], max_pixels):
        raise DataError(f"{scans:,} scans of {size[0]:,} x {size[1]:,} pixels, which would take minutes")


def _shown(dataset: Any) -> npt.NDArray[np.uint8]:
    from pydicom.pixels.processing import apply_color_lut
    from pydicom.pixels.utils import pixel_array

    photometric = str(dataset.PhotometricInterpretation)
    # YBR becomes RGB here, whatever the subsampling.
    frame = pixel_array(dataset, index=0)
    if photometric in GREY:
        return np.repeat(_windowed(frame, dataset, photometric)[..., None], 3, axis=2)
    if photometric == "PALETTE COLOR":
        frame = apply_color_lut(frame, dataset)
        bits = 8 * frame.dtype.itemsize
    else:
        bits = int(dataset.BitsStored)
    if frame.ndim != 3 or frame.shape[2] < 3:
        raise ValueError(f"photometric interpretation {photometric} with an array of shape {frame.shape}")
    return np.asarray(frame[..., :3] >> max(bits - 8, 0), dtype=np.uint8)


def _windowed(frame: npt.NDArray[Any], dataset: Any, photometric: str) -> npt.NDArray[np.uint8]:
    """Grey values through rescale and window to 0 to 255; without a window, their full range."""
    from pydicom.pixels.processing import apply_rescale, apply_voi, apply_windowing

    values = apply_rescale(frame, dataset)
    if dataset.get("VOILUTSequence"):
        shown = apply_voi(values, dataset)
        low, high = 0.0, 2.0 ** int(dataset.VOILUTSequence[0].LUTDescriptor[2]) - 1
    elif "WindowWidth" in dataset and "WindowCenter" in dataset:
        shown = apply_windowing(values, dataset)
        # The ends of a window are where values far outside it are put.
        with np.errstate(over="ignore"):
            low, high = apply_windowing(np.array([-1e12, 1e12]), dataset).tolist()
    else:
        shown, low, high = values, float(values.min()), float(values.max())
    grey = np.clip((shown.astype(np.float64) - low) / max(high - low, 1e-9), 0.0, 1.0) * 255
    grey = 255 - grey if photometric == "MONOCHROME1" else grey
    return np.asarray(np.rint(grey), dtype=np.uint8)
