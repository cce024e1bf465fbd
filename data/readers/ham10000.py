"""HAM10000, read from its metadata table and its images as published, for two classes or for all seven.

`HAM10000_metadata.csv` and the `.jpg` files at any depth below the folder, or the zip archives that they came in (the
two image parts of the publication may stay apart). Several images show one lesion, so the group is `lesion_id`: folds
by image would put copies of a lesion on both sides. `dx_type` says how the diagnosis
was confirmed and is known only after it: never a feature. Nor is `dataset`, the collection that an image comes from,
which `HAM10000_source_dataset.csv` gives where it lies beside the table: a place to hold out.
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data.cohort import Cohort, DataFolder, Task
from data.errors import DataError
from data.files import fingerprint
from data.progress import Progress
from data.readers.reading import (
    InParts,
    Reader,
    Readout,
    ToldColumns,
    Unlabelled,
    given_images,
    images_below,
    published_in_parts,
)
from data.schemas.ham10000 import (
    BINARY,
    DIAGNOSES,
    FORBIDDEN,
    MALIGNANT,
    METADATA,
    SCHEMA,
    SEVEN_CLASSES,
    SOURCE_SCHEMA,
    SOURCES,
    TEST_SCHEMA,
)
from data.synthetic.recipe import TwinRecipe


@dataclass(frozen=True)
class Ham10000:
    """Reads HAM10000 for one of its two tasks."""

    task: Task

    def read(self, folder: Path, /) -> DataFolder:
        """Read and validate the folder; `FolderError` lists every problem."""
        path = folder / METADATA
        if not path.is_file():
            raise DataError(f"{folder} has no {METADATA}; give the folder with that table and the images of HAM10000")
        found = Readout(train_images=images_below(folder))
        found.train = self._cohort(path, True, found)
        return found.folder(folder)

    def read_test(self, metadata_path: Path, images_path: Path | None, /) -> Unlabelled:
        """Read images to predict: a table with the columns of the published one that no diagnosis gives."""
        found = Readout()
        found.test = self._cohort(metadata_path, False, found)
        found.test_images = given_images(images_path, found)
        return found.unlabelled(metadata_path.parent)

    def write_twin(self, folder: Path, recipe: TwinRecipe, progress: Progress, /) -> None:
        """Write the synthetic twin, which has all seven diagnoses."""
        from data.synthetic.ham10000 import write

        write(folder, recipe, progress)

    def _cohort(self, path: Path, labelled: bool, found: Readout) -> Cohort | None:
        """One table as a cohort; None when unusable, the reasons in `found`."""
        text = found.text(path)
        if text is None:
            return None
        checked = found.typed(text, SCHEMA if labelled else TEST_SCHEMA)
        if checked.errors:
            return None
        unlabelled = self._test_cohort(checked.table, text.sha256)
        if not labelled:
            return unlabelled
        table = unlabelled.table.with_columns(self._class_index().alias(self.task.target))
        sources = path.with_name(SOURCES)
        if not sources.is_file():
            return Cohort(table, self.task, labelled, FORBIDDEN, text.sha256)
        of_image = found.text(sources)
        told = found.typed(of_image, SOURCE_SCHEMA) if of_image is not None else None
        if of_image is None or told is None or told.errors:
            return None
        table = table.join(told.table, on="image_id", how="left", maintain_order="left")
        if table["dataset"].null_count():
            found.notes.append(f"{SOURCES}: {table['dataset'].null_count():,} images of {METADATA} are not in it")
        return Cohort(table, self.task, labelled, FORBIDDEN, fingerprint([text.sha256, of_image.sha256]))

    def _test_cohort(self, table: pl.DataFrame, checksum: str) -> Cohort:
        # "unknown" is how this table spells missing.
        known = table.with_columns(pl.col("sex", "localization").replace("unknown", None))
        return Cohort(known, self.task, False, FORBIDDEN, checksum)

    def in_parts(self, path: Path, /) -> InParts:
        """How a table larger than memory is read."""
        return published_in_parts(TEST_SCHEMA, self._test_cohort)(path)

    def _class_index(self) -> pl.Expr:
        """Malignant or not, or the diagnosis."""
        if len(self.task.classes) == 2:
            return pl.col("dx").is_in(MALIGNANT).cast(pl.Int64)
        return pl.col("dx").replace_strict({name: code for code, name in enumerate(DIAGNOSES)}, return_dtype=pl.Int64)


def _reader(name: str, task: Task) -> Reader:
    told = ToldColumns(("age", "sex", "localization"), "localization", after_diagnosis=("dx_type",))
    return Reader(name, lambda _: Ham10000(task), task=task, told_columns=told)


READER = (_reader("ham10000", SEVEN_CLASSES), _reader("ham10000_binary", BINARY))
