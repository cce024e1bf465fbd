"""Pictures as a worse camera, light or file would give them, each fault at several strengths.

Applied to packed images, (lesions, side, side, 3) in RGB; lengths are shares of the side, so that they mean the same
at any size.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Pictures = npt.NDArray[np.uint8]
SEED = 2024


@dataclass(frozen=True)
class Fault:
    """One way in which pictures get worse."""

    name: str
    title: str
    unit: str
    """What a strength is."""
    strengths: tuple[float, ...]
    apply: Callable[[Pictures, float], Pictures]
    """One picture at a strength."""

    def on(self, pictures: Pictures, strength: float) -> Pictures:
        """All pictures at a strength."""
        return np.stack([self.apply(np.ascontiguousarray(one), strength) for one in pictures]) if len(pictures) else (
            pictures
        )  # fmt: skip


def blurred(picture: Pictures, percent: float) -> Pictures:
    """A Gaussian blur whose deviation is a share of the side."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), percent / 100 * len(picture)), dtype=np.uint8)


def compressed(picture: Pictures, quality: float) -> Pictures:
    """Saved as JPEG and opened again."""
    _, file = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    opened = np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR), dtype=np.uint8)
    return np.ascontiguousarray(opened[:, :, ::-1])


def coarse(picture: Pictures, percent: float) -> Pictures:
    """Taken with a share of the pixels along each side, and enlarged again."""
    side = len(picture)
    small = max(1, round(side * percent / 100))
    less = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(less, (side, side), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def scaled(picture: Pictures, red: float, green: float, blue: float) -> Pictures:
    """Each colour channel times a factor."""
    value = picture.astype(np.float32) * np.array([red, green, blue], dtype=np.float32)
    return np.clip(np.rint(value), 0, 255).astype(np.uint8)


def warmer(picture: Pictures, percent: float) -> Pictures:
    """A colour cast: more red, less blue; negative strengths are colder."""
    return scaled(picture, 1 + percent / 100, 1.0, 1 - percent / 100)


def brighter(picture: Pictures, percent: float) -> Pictures:
    """More light, or with a negative strength less."""
    return scaled(picture, *[1 + percent / 100] * 3)


def noisy(picture: Pictures, deviation: float) -> Pictures:
    """Gaussian noise in grey levels, the same for the same picture."""
    rng = np.random.default_rng([SEED, int(picture.sum(dtype=np.int64))])
    value = picture + deviation * rng.standard_normal(picture.shape)
    return np.clip(np.rint(value), 0, 255).astype(np.uint8)


FAULTS = (
    Fault("blur", "Blur", "deviation, % of the side", (0.5, 1, 2, 4), blurred),
    Fault("jpeg", "JPEG quality", "quality", (75, 50, 25, 10), compressed),
    Fault("cast", "Colour cast", "red up and blue down, %", (-20, -10, 10, 20), warmer),
    Fault("brightness", "Brightness", "change of light, %", (-40, -20, 20, 40), brighter),
    Fault("resolution", "Resolution", "% of the pixels along a side", (50, 25, 12.5), coarse),
    Fault("noise", "Noise", "deviation, grey levels of 255", (5, 10, 20), noisy),
)
