"""A heat map over a lesion's image, as PNG: viridis, even in lightness and safe for colour-blind readers, over grey."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

SIDE_PX = 384
HEAT_SHARE = 0.6
"""Of the map's colour in the mixture, the same everywhere, so that a colour means one value wherever it lies."""
SCALE_STEPS = 9


def overlay(image: Pixels, heat: npt.NDArray[np.float64]) -> Pixels:
    """The image in grey under the map's colours; both brought to SIDE_PX."""
    grey = cv2.cvtColor(enlarged(image), cv2.COLOR_RGB2GRAY)[..., None].astype(np.float64)
    spread = cv2.resize(heat, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_LINEAR)
    mixed = HEAT_SHARE * colours(spread).astype(np.float64) + (1 - HEAT_SHARE) * grey
    return np.asarray(np.clip(mixed + 0.5, 0, 255), dtype=np.uint8)


def colours(values: npt.NDArray[Any]) -> Pixels:
    """Viridis in RGB of values (rows, columns) between 0 and 1."""
    levels = np.clip(values * 255 + 0.5, 0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB), dtype=np.uint8)


def scale() -> str:
    """The colours from 0 to 1 as a CSS gradient, mixed with middle grey as they are over an image."""
    plain = colours(np.linspace(0.0, 1.0, SCALE_STEPS)[None])[0].astype(np.float64)
    mixed = HEAT_SHARE * plain + (1 - HEAT_SHARE) * 128
    return f"linear-gradient(90deg,{','.join('#' + bytes(one.astype(np.uint8)).hex() for one in mixed)})"


def enlarged(image: Pixels) -> Pixels:
    """The image at SIDE_PX."""
    way = cv2.INTER_AREA if image.shape[0] > SIDE_PX else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (SIDE_PX, SIDE_PX), interpolation=way), dtype=np.uint8)


def png(image: Pixels) -> bytes:
    """The image as PNG."""
    return bytes(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1])
