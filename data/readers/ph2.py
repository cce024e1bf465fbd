"""PH2, read from its table and its folders of bitmaps as published: melanoma or not, or its three classes.

`PH2_dataset.txt` or `PH2_dataset.xlsx` beside `PH2 Dataset images/IMD003/IMD003_Dermoscopic_Image/IMD003.bmp`. The data
set does not name patients, so every image is a group of its own. The dermoscopic criteria were scored on the picture
and may be features; the diagnoses may not. Outlines of the lesions are `masks`, for whoever asks.
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data.cohort import Cohort, DataFolder, Task
from data.errors import DataError
from data.images.joined import NamedImages
from data.images.sources import FolderImages, ImageSource
from data.progress import Progress
from data.readers.ph2_table import read_table
from data.readers.reading import Reader, Readout, ToldColumns, Unlabelled, given_images
from data.schemas.ph2 import BINARY, CRITERIA, DIAGNOSES, FORBIDDEN, IMAGES, NEEDED, SCHEMA, TABLES, THREE_CLASSES
from data.synthetic.recipe import TwinRecipe


@dataclass(frozen=True)
class Ph2:
    """Reads PH2 for one of its two tasks."""

    task: Task

    def read(self, folder: Path, /) -> DataFolder:
        """Read and validate the folder; `FolderError` lists every problem."""
        path = next((folder / name for name in TABLES if (folder / name).is_file()), None)
        if path is None:
            raise DataError(f"{folder} has neither {TABLES[0]} nor {TABLES[1]}; give the folder PH2Dataset as unpacked")
        found = Readout()
        found.train = self._cohort(path, True, found)
        if found.train is not None:
            found.train_images = _of_lesions(FolderImages(folder / IMAGES), found.train)
        return found.folder(folder)

    def read_test(self, metadata_path: Path, images_path: Path | None, /) -> Unlabelled:
        """Read images to predict: a table in any of the forms, without diagnoses, and their images in any folder."""
        found = Readout()
        found.test = self._cohort(metadata_path, False, found)
        images = given_images(images_path, found)
        if images is not None and found.test is not None:
            # Picked by name: a folder in the published layout holds masks too.
            found.test_images = _of_lesions(images, found.test)
        return found.unlabelled(metadata_path.parent)

    def write_twin(self, folder: Path, recipe: TwinRecipe, progress: Progress, /) -> None:
        """Write the synthetic twin, which has all three diagnoses."""
        from data.synthetic.ph2 import write

        write(folder, recipe, progress)

    def _cohort(self, path: Path, labelled: bool, found: Readout) -> Cohort | None:
        """One table as a cohort; None when unusable, the reasons in `found`."""
        text = found.text(path, read_table)
        if text is None:
            return None
        wanted = [column for column in SCHEMA if column.name in NEEDED or column.name in text.columns]
        checked = found.typed(text, [column for column in wanted if labelled or not column.train_only])
        if checked.errors:
            return None
        table = checked.table
        if labelled:
            code = pl.col("clinical_diagnosis")
            melanoma = (code == DIAGNOSES.index("melanoma")).cast(pl.Int64)
            table = table.with_columns((code if len(self.task.classes) > 2 else melanoma).alias(self.task.target))
        return Cohort(table, self.task, labelled, FORBIDDEN, text.sha256)


def masks(folder: Path, cohort: Cohort) -> ImageSource:
    """The published outlines: black and white bitmaps, white inside the lesion, by image id."""
    return _of_lesions(FolderImages(folder / IMAGES), cohort, "_lesion")


def _of_lesions(source: ImageSource, cohort: Cohort, suffix: str = "") -> ImageSource:
    return NamedImages(source, {name: f"{name}{suffix}" for name in cohort.ids.tolist()})


def _reader(name: str, task: Task) -> Reader:
    return Reader(name, lambda _: Ph2(task), task=task, told_columns=ToldColumns(CRITERIA))


READER = (_reader("ph2", THREE_CLASSES), _reader("ph2_binary", BINARY))
