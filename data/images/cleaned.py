"""Photographs made more alike before they are packed: hairs painted over, colour cast taken out, contrast evened.

Hair (DullRazor's idea): a black-hat finds thin dark lines, which are filled in from beside them. Colour: grey-world, so
that the mean of the picture is grey. Contrast: CLAHE on the lightness. What was shown is in the fingerprint.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.files import fingerprint
from data.images.decode import pixels
from data.images.sources import ImageSource

Pixels = npt.NDArray[np.uint8]
Step = Literal["hair", "colour", "contrast"]

HAIR_SHARE = 1 / 26
"""Side of the black-hat's window as a share of the shorter side: wider than a hair, narrower than a lesion."""
HAIR_DARKER = 12
"""Grey levels by which a hair is darker than what lies beside it."""


def without_hair(image: Pixels) -> Pixels:
    """Thin dark lines filled in from their surroundings."""
    side = max(3, int(min(image.shape[:2]) * HAIR_SHARE)) | 1
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    found = cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, cv2.getStructuringElement(cv2.MORPH_RECT, (side, side)))
    mask = (found > HAIR_DARKER).astype(np.uint8)
    return np.asarray(cv2.inpaint(image, mask, 3, cv2.INPAINT_TELEA), dtype=np.uint8) if mask.any() else image


def without_cast(image: Pixels) -> Pixels:
    """Every colour's mean brought to the mean of all."""
    means = image.reshape(-1, 3).mean(axis=0)
    scaled = image * (means.mean() / np.maximum(means, 1e-6))
    return np.asarray(np.clip(np.rint(scaled), 0, 255), dtype=np.uint8)


def with_even_contrast(image: Pixels) -> Pixels:
    """Lightness equalised tile by tile, with a limit."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(lab[..., 0])
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), dtype=np.uint8)


STEPS: dict[Step, Callable[[Pixels], Pixels]] = {
    "hair": without_hair,
    "colour": without_cast,
    "contrast": with_even_contrast,
}


def cleaned(image: Pixels, steps: Sequence[Step]) -> Pixels:
    """The picture after the steps, in their order."""
    for step in steps:
        image = STEPS[step](image)
    return image


class CleanedImages:
    """The images of a source after some steps; whoever reads one sees it as the networks do."""

    def __init__(self, source: ImageSource, steps: Sequence[Step]) -> None:
        self.source, self.steps = source, tuple(steps)

    def __repr__(self) -> str:
        return f"CleanedImages({self.source!r}, {self.steps})"

    @property
    def ids(self) -> npt.NDArray[np.str_]:
        """Those of the source."""
        return self.source.ids

    @property
    def fingerprint(self) -> str:
        """Checksum of the source and of what is done to it."""
        return fingerprint({"source": self.source.fingerprint, "clean": list(self.steps), "opencv": cv2.__version__})

    def read(self, lesion_id: str) -> bytes:
        """The cleaned image of one lesion, encoded without loss."""
        image = cleaned(pixels(self.source.read(lesion_id)), self.steps)
        done, encoded = cv2.imencode(".bmp", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        if not done:
            raise DataError(f"the cleaned image of {lesion_id} cannot be encoded")
        return encoded.tobytes()


def clean_source(source: ImageSource | None, steps: Sequence[Step]) -> ImageSource | None:
    """A source with its steps, each picture of a lesion by itself; the source as it is where there are none."""
    from data.images.joined import SeveralPictures

    if source is None or not steps:
        return source
    if isinstance(source, SeveralPictures):
        return SeveralPictures({name: CleanedImages(one, steps) for name, one in source.pictures.items()})
    return CleanedImages(source, steps)
