"""The data part of a recipe: which reader, which images; and the readers by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from data.cohort import DataFolder
from data.readers import ham10000, isic2024, ph2, tcga_skcm
from data.readers.folder import Folder, FolderRecipe
from data.readers.pairing import Paired, PairingRecipe
from data.readers.reading import Reader, Unlabelled
from data.synthetic.isic2024.cohort import SyntheticRecipe
from data.synthetic.recipe import TwinRecipe


class DataRecipe(BaseModel):
    """What the data are and how their images are packed."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    reader: Literal["isic2024", "ham10000", "ham10000_binary", "ph2", "ph2_binary", "tcga_skcm", "folder", "paired"] = (
        "isic2024"
    )
    folder: FolderRecipe | None = None
    """What the columns mean, for the reader of that name."""
    pairing: PairingRecipe | None = None
    """Which lesions get which patients' columns, for the reader `paired`."""
    image_size: int = Field(default=224, ge=8, le=2048)
    """Side in pixels of the packed images; networks may use another size."""
    max_missing_images: float = Field(default=0.01, ge=0, le=1)
    """Largest share of lesions without a usable image that a run goes on with."""
    lesions_per_pack: int = Field(default=1_000_000, ge=1)
    """Packed images in one file; more lesions make several, each finished by itself, so that a build goes on where it
    stopped. A million take 150 GB at 224 px."""
    workers: int | None = Field(default=None, ge=1)
    """Threads (for thousands of images processes) that decode them; as many as there are cores when left out."""
    synthetic: SyntheticRecipe | None = None
    """The cohort made for `isic2024` when no data folder is given; left out, a data folder is required."""
    twin: TwinRecipe | None = None
    """The same for every other reader: its synthetic twin."""

    @model_validator(mode="after")
    def _tables_fit_the_reader(self) -> Self:
        for key, reader in (("folder", "folder"), ("pairing", "paired")):
            if (getattr(self, key) is not None) != (self.reader == reader):
                wanted = "needs" if self.reader == reader else "has no use for"
                raise ValueError(f"reader = {self.reader!r} {wanted} the table [data.{key}]")
        if self.synthetic is not None and self.reader != "isic2024":
            raise ValueError(f"reader = {self.reader!r}: its synthetic data are [data.twin], not [data.synthetic]")
        if self.twin is not None and self.reader == "isic2024":
            raise ValueError("reader = 'isic2024': its synthetic data are [data.synthetic], not [data.twin]")
        return self


def _folder(recipe: DataRecipe) -> Reader:
    assert recipe.folder is not None
    return Folder(recipe.folder)


def _paired(recipe: DataRecipe) -> Reader:
    assert recipe.pairing is not None
    return Paired(recipe.pairing, READERS[recipe.pairing.lesions](recipe))


READERS: dict[str, Callable[[DataRecipe], Reader]] = {
    "isic2024": lambda _: isic2024,
    "ham10000": lambda _: ham10000.seven_classes,
    "ham10000_binary": lambda _: ham10000.binary,
    "ph2": lambda _: ph2.three_classes,
    "ph2_binary": lambda _: ph2.binary,
    "tcga_skcm": lambda _: tcga_skcm,
    "folder": _folder,
    "paired": _paired,
}
"""A new data set is a `Reader`, one entry here and one in `DataRecipe.reader`."""


def reader_of(recipe: DataRecipe) -> Reader:
    """The reader a recipe names, with what it needs of the recipe."""
    return READERS[recipe.reader](recipe)


def read_folder(recipe: DataRecipe, folder: Path) -> DataFolder:
    """Read and validate the recipe's data from `folder`."""
    return reader_of(recipe).read(folder)


def read_test(recipe: DataRecipe, metadata_path: Path, images_path: Path | None) -> Unlabelled:
    """Read new lesions of the recipe's data set to predict; without images, the table alone."""
    return reader_of(recipe).read_test(metadata_path, images_path)
