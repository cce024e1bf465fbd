"""The data part of a recipe: which reader, which images; and reading the folder it means."""

from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from data.cohort import DataFolder, Task
from data.images.cleaned import clean_source
from data.readers import READERS
from data.readers.folder import FolderRecipe
from data.readers.paired import PairingRecipe
from data.readers.reading import BoundReader, Unlabelled
from data.strict import Strict
from data.synthetic.isic2024.recipe import SyntheticRecipe
from data.synthetic.recipe import TwinRecipe
from data.whole_folder import is_invented


class DataRecipe(Strict):
    """What the data are and how their images are packed."""

    reader: str = "isic2024"
    """One of `data.readers.READERS`."""
    folder: FolderRecipe | None = None
    """What the columns mean, for a reader that needs to be told."""
    pairing: PairingRecipe | None = None
    """Which lesions get which patients' columns, for a reader of two data sets."""
    image_size: int = Field(default=224, ge=8, le=2048)
    """Side in pixels of the packed images; networks may use another size."""
    clean: tuple[Literal["hair", "colour", "contrast"], ...] = ()
    """What is done to every picture before it is packed, in this order: hairs painted over, the colour cast taken out,
    contrast evened."""
    max_missing_images: float = Field(default=0.01, ge=0, le=1)
    """Largest share of lesions without a usable image that a run goes on with."""
    lesions_per_pack: int = Field(default=1_000_000, ge=1, le=10**9)
    """Packed images in one file; more lesions make several, each finished by itself, so that a build goes on where it
    stopped. A million take 150 GB at 224 px; a thousand million fit on no disk."""
    workers: int | None = Field(default=None, ge=1, le=1024)
    """Threads (for thousands of images processes) that decode them; as many as there are cores when left out, and
    no more than the largest machines have."""
    synthetic: SyntheticRecipe | None = None
    """The cohort made when no data folder is given, for a reader that has one; left out, a data folder is required."""
    twin: TwinRecipe | None = None
    """The same for every other reader: its synthetic twin."""

    @field_validator("reader")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in READERS:
            raise ValueError(READERS.unknown(name))
        return name

    @model_validator(mode="after")
    def _tables_fit_the_reader(self) -> Self:
        reader = READERS[self.reader]
        for key in ("folder", "pairing"):
            if (getattr(self, key) is not None) != (reader.table == key):
                wanted = "needs" if reader.table == key else "has no use for"
                raise ValueError(f"reader = {self.reader!r} {wanted} the table [data.{key}]")
        for key in ("synthetic", "twin"):
            if getattr(self, key) is not None and key != reader.synthetic_table:
                described = f"its synthetic data are [data.{reader.synthetic_table}], not [data.{key}]"
                raise ValueError(f"reader = {self.reader!r}: {described}")
        return self


def reader_of(recipe: DataRecipe) -> BoundReader:
    """The reader a recipe names, with what it needs of the recipe."""
    reader = READERS[recipe.reader]
    return reader.bind(getattr(recipe, reader.table) if reader.table is not None else None)


def task_of(recipe: DataRecipe) -> Task | None:
    """What is predicted, as far as the recipe says it without the data."""
    return READERS[recipe.reader].task if recipe.folder is None else recipe.folder.task


def read_folder(recipe: DataRecipe, folder: Path) -> DataFolder:
    """Read and validate the recipe's data from `folder`."""
    data = reader_of(recipe).read(folder)
    return replace(
        data,
        invented=is_invented(folder),
        train_images=clean_source(data.train_images, recipe.clean),
        test_images=clean_source(data.test_images, recipe.clean),
    )


def read_test(recipe: DataRecipe, metadata_path: Path, images_path: Path | None) -> Unlabelled:
    """Read new lesions of the recipe's data set to predict; without images, the table alone."""
    cohort, images, notes = reader_of(recipe).read_test(metadata_path, images_path)
    return cohort, clean_source(images, recipe.clean), notes
