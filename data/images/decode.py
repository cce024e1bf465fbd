"""Encoded image -> square uint8 RGB, or a reason why not.

JPEG goes through libjpeg-turbo, which says when data end early; Pillow, which fills some of what is missing with grey,
takes the rest (PNG, BMP, CMYK). Colour profiles are ignored: networks are trained on stored values.
"""

import io
import struct
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from data.errors import DataError
from data.images.dicom import dicom_pixels, is_dicom
from data.images.jpeg_segments import MOST_SEGMENTS, orientation, orientation_in, too_many, too_many_scans

MAX_PIXELS = 2**26
"""67 megapixels: above every dermatoscope and camera in use, below what exhausts a worker's memory (0.2 GB)."""
_HARMLESS = "extraneous bytes before marker 0xd9"
"""Padding before the end mark, which some cameras write; the picture is whole by then."""


class DecodeError(DataError):
    """These bytes are not a whole image; the message is the reason."""


def decode(data: bytes, size: int, out: npt.NDArray[np.uint8] | None = None) -> npt.NDArray[np.uint8]:
    """Decode JPEG, PNG, BMP or DICOM into `(size, size, 3)` uint8 RGB, upright, squashed when it is no square.

    `out` takes the pixels and spares a copy. Averages over areas when shrinking and interpolates linearly when
    enlarging. Grey, palette, 16-bit and CMYK images become 8-bit RGB; transparent pixels lie on white. The same bytes
    always give the same pixels.
    """
    return resize(pixels(data, at_least=2 * size), size, out)


def pixels(data: bytes, *, at_least: int = 0) -> npt.NDArray[np.uint8]:
    """Decode into `(height, width, 3)` uint8 RGB, upright.

    `at_least` lets a large JPEG be decoded at a half, a quarter... of its size while both sides stay that long.
    """
    if not data:
        raise DecodeError("empty: 0 bytes")
    if data[:2] == b"\xff\xd8":
        return _jpeg(data, at_least)
    if data[:8] == b"\x89PNG\r\n\x1a\n" or data[:2] == b"BM":
        return _by_pillow(data)
    if is_dicom(data):
        return dicom_pixels(data, MAX_PIXELS)
    raise DecodeError(f"not a JPEG, PNG or BMP image, nor DICOM (begins with {data[:8]!r})")


def resize(image: npt.NDArray[np.uint8], size: int, out: npt.NDArray[np.uint8] | None = None) -> npt.NDArray[np.uint8]:
    """Squash or stretch to a square of `size` pixels, in `out` when it is given."""
    height, width = image.shape[:2]
    if out is None:
        out = np.empty((size, size, 3), dtype=np.uint8)
    shrunk = (min(width, size), min(height, size))
    if shrunk == (size, size) != (width, height):
        cv2.resize(image, shrunk, dst=out, interpolation=cv2.INTER_AREA)
        return out
    if shrunk != (width, height):
        image = np.asarray(cv2.resize(image, shrunk, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    if shrunk == (size, size):
        out[:] = image
    else:
        cv2.resize(image, (size, size), dst=out, interpolation=cv2.INTER_LINEAR)
    return out


def _jpeg(data: bytes, at_least: int) -> npt.NDArray[np.uint8]:
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError as error:
        raise DecodeError(f"damaged JPEG header ({error})") from None
    _refuse_bomb(width, height)
    if too_many(data):
        raise DecodeError(f"more than {MOST_SEGMENTS:,} segments before the picture, which is no picture's header")
    if scans := too_many_scans(data, width * height, MAX_PIXELS):
        raise DecodeError(f"{scans:,} scans of {width:,} x {height:,} pixels, which would take minutes")
    if colours in {"CMYK", "YCCK"}:
        return _by_pillow(data)
    options: dict[str, Any] = {"colorspace": "RGB", "min_height": at_least, "min_width": at_least}
    try:
        image: npt.NDArray[np.uint8] = simplejpeg.decode_jpeg(data, **options)
    except ValueError as error:
        if _HARMLESS not in str(error):
            raise DecodeError(f"damaged JPEG ({error})") from None
        image = simplejpeg.decode_jpeg(data, strict=False, **options)
    # Cameras write EXIF into the first segments; a look-up there spares all other images the parser.
    if b"Exif\0\0" in data[:4096]:
        image = _upright(image, orientation(data))
    return image


def _by_pillow(data: bytes) -> npt.NDArray[np.uint8]:
    """Decode whatever Pillow reads of the formats expected here; its other formats' readers stay out of reach."""
    from PIL import Image

    if data[:2] != b"\xff\xd8":
        _refuse_bomb(*_size_of(data))
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "BMP")) as opened:
            opened.load()
            turned = orientation_in(opened.info.get("exif", b"").removeprefix(b"Exif\0\0"))
            image = np.asarray(_eight_bit_rgb(opened))
    # Damaged files raise nearly every kind of exception there.
    except Exception as error:
        raise DecodeError(f"damaged image ({type(error).__name__}: {error})") from error
    return _upright(image, turned)


def _size_of(data: bytes) -> tuple[int, int]:
    """Width and height as the header of a PNG or BMP states them, before anything is decoded."""
    try:
        if data[:2] != b"BM":
            width, height = struct.unpack(">II", data[16:24])
            return width, height
        old = struct.unpack("<I", data[14:18])[0] == 12
        width, height = struct.unpack("<HH", data[18:22]) if old else struct.unpack("<ii", data[18:26])
        return abs(width), abs(height)
    except struct.error:
        raise DecodeError("damaged image (it ends within its header)") from None


def _eight_bit_rgb(image: Any) -> Any:
    """A Pillow image of any mode as 8-bit RGB, transparent pixels on white."""
    from PIL import Image

    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        # Pillow's own conversion clips at 255; 16-bit grey keeps its upper byte.
        values = np.asarray(image)
        values = (values.astype(np.int64) if image.mode == "F" else values) >> 8
        return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _upright(image: npt.NDArray[np.uint8], turned: int) -> npt.NDArray[np.uint8]:
    """Undo the camera's rotation and mirroring (EXIF 2.3, tag 0x0112)."""
    if turned in {2, 4, 5, 7}:
        image = image[:, ::-1]
    turns = {1: 0, 2: 0, 3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}[turned]
    return np.ascontiguousarray(np.rot90(image, turns))


def _refuse_bomb(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise DecodeError(f"it states a size of {width} x {height} pixels")
    if width * height > MAX_PIXELS:
        raise DecodeError(f"{width:,} x {height:,} pixels; more than {MAX_PIXELS / 1e6:.0f} million are not decoded")
