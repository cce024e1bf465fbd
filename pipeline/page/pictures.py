"""Pictures as the page shows them: small for lists, large to look at; always encoded anew from decoded pixels."""

import hashlib
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from data.errors import DataError
from data.images.decode import decode, pixels
from pipeline.page.view import View

SMALL_PX, LARGE_PX = 128, 1024
QUALITY = {SMALL_PX: 82, LARGE_PX: 92}
KEPT = 8192
"""Small pictures kept in memory: about 40 MB."""


def jpeg(view: View, row: int, side: int) -> tuple[str, bytes]:
    """A name of the content for the browser's cache, and the picture; DataError when there is none."""
    if side == SMALL_PX:
        return small(view, row)
    return made(view, row, side)


@lru_cache(maxsize=KEPT)
def small(view: View, row: int) -> tuple[str, bytes]:
    """The same, kept."""
    return made(view, row, SMALL_PX)


def made(view: View, row: int, side: int) -> tuple[str, bytes]:
    """Read, decode, encode."""
    if view.images is None:
        raise DataError("this table has no images")
    stored = view.images.read(str(view.lesions["lesion"][row]))
    image = decode(stored, side) if side == SMALL_PX else whole(stored, side)
    encoded = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=QUALITY[side])
    return hashlib.sha256(encoded).hexdigest()[:32], encoded


def whole(stored: bytes, most: int) -> npt.NDArray[np.uint8]:
    """The picture in its own proportions, no side longer than `most`."""
    image = pixels(stored, at_least=most)
    longest = max(image.shape[:2])
    if longest <= most:
        return image
    width, height = (max(1, round(one * most / longest)) for one in (image.shape[1], image.shape[0]))
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
