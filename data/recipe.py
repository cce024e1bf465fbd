"""The data part of a recipe: which reader, which images; and the readers by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from data import ham10000, isic2024
from data.cohort import DataFolder
from data.synthetic import SyntheticRecipe

READERS: dict[str, Callable[[Path], DataFolder]] = {
    "isic2024": isic2024.read,
    "ham10000": ham10000.read_seven_classes,
    "ham10000_binary": ham10000.read_binary,
}
"""A reader takes a data folder as published; a new data set is one entry here and in `DataRecipe.reader`."""


class DataRecipe(BaseModel):
    """What the data are and how their images are packed."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    reader: Literal["isic2024", "ham10000", "ham10000_binary"] = "isic2024"
    image_size: int = Field(default=224, ge=8, le=2048)
    """Side in pixels of the packed images; networks may use another size."""
    max_missing_images: float = Field(default=0.01, ge=0, le=1)
    """Largest share of lesions without a usable image that a run goes on with."""
    workers: int | None = Field(default=None, ge=1)
    """Threads that decode images; as many as there are cores when left out."""
    synthetic: SyntheticRecipe | None = None
    """The cohort made when no data folder is given; left out, a data folder is required."""
