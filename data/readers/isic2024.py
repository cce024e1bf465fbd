"""ISIC 2024 (SLICE-3D), read from the folder as Kaggle or the ISIC archive publishes it.

`train-metadata.csv`, `train-image.hdf5` (or `train-image/image/<isic_id>.jpg`), and where they exist the same for test
and `sample_submission.csv`. What the archive's files are called is in `isic2024_archive.py`. Gives a `DataFolder`;
images are decoded elsewhere.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort, DataFolder
from data.errors import DataError
from data.ids import as_ids
from data.images.sources import ImageSource
from data.progress import Progress
from data.readers.isic2024_archive import edition_in, images_of, training_table
from data.readers.reading import (
    Functions,
    Reader,
    Readout,
    ToldColumns,
    Unlabelled,
    given_images,
    images_at,
    published_in_parts,
)
from data.schemas.isic2024 import FORBIDDEN, SCHEMA, SUBMISSION_SCHEMA, TASK, TEST_SCHEMA
from data.synthetic.isic2024.recipe import SyntheticRecipe
from data.synthetic.recipe import TwinRecipe
from data.tables.csv import TextTable
from data.tables.schema import unknown_categories, validate


def read(folder: Path) -> DataFolder:
    """Read and validate the whole folder; `FolderError` lists every problem of every file."""
    if not folder.is_dir():
        raise DataError(
            f"{folder} is not a folder. Give the folder with train-metadata.csv (DATA=... or --data), fetch the data "
            "with `fusionnetx data isic2024`, or make the synthetic cohort with `make demo-data`."
        )
    found = Readout()
    edition = edition_in(folder) if not (folder / "train-metadata.csv").exists() else None
    if edition is not None:
        found.train = _typed(training_table(folder, edition, found), labelled=True, found=found)
        found.train_images = images_of(folder, edition, found)
        return found.folder(folder)
    found.train = _cohort(folder / "train-metadata.csv", labelled=True, found=found)
    found.train_images = _images(folder, "train", found)
    if (folder / "test-metadata.csv").exists():
        found.test = _cohort(folder / "test-metadata.csv", labelled=False, found=found)
        found.test_images = _images(folder, "test", found)
    _take_tables_alone(found)
    ids = _submission_ids(folder / "sample_submission.csv", found)
    if found.train is not None and found.test is not None:
        _compare(found.train, found.test, found)
    return found.folder(folder, ids)


def read_test(metadata_path: Path, images_path: Path | None) -> Unlabelled:
    """Read lesions to predict without any training data: a table with the 44 test columns, their images, and notes."""
    found = Readout()
    found.test = _cohort(metadata_path, labelled=False, found=found)
    found.test_images = given_images(images_path, found)
    return found.unlabelled(metadata_path.parent)


def read_competition(folder: Path) -> tuple[Unlabelled, npt.NDArray[np.str_] | None]:
    """Read the test part of Kaggle's folder alone, and the order of its sample submission if there is one."""
    found = Readout()
    found.test = _cohort(folder / "test-metadata.csv", labelled=False, found=found)
    found.test_images = _images(folder, "test", found)
    ids = _submission_ids(folder / "sample_submission.csv", found)
    return found.unlabelled(folder), ids


def write_twin(folder: Path, recipe: TwinRecipe, progress: Progress) -> None:
    """Write a small synthetic cohort with hardly any test lesions."""
    from data.synthetic.isic2024.cohort import write_cohort

    write_cohort(folder, SyntheticRecipe(lesions=recipe.lesions, test_lesions=10, seed=recipe.seed), progress=progress)


def _cohort(path: Path, *, labelled: bool, found: Readout) -> Cohort | None:
    """One metadata file as a cohort; None when it is unusable, the reasons in `found`."""
    if not path.exists():
        found.errors.append(f"{path.name} is missing")
        return None
    return _typed(found.text(path), labelled=labelled, found=found)


def _typed(text: TextTable | None, *, labelled: bool, found: Readout) -> Cohort | None:
    """The cells of a table as a cohort; None when they are unusable, the reasons in `found`."""
    if text is None:
        return None
    checked = found.typed(text, SCHEMA if labelled else TEST_SCHEMA)
    if labelled and not checked.errors and checked.table["target"].n_unique() == 1:
        only = checked.table["target"][0]
        found.errors.append(f"{text.name}: column target: every row is {only}; both classes are needed")
    if not {TASK.lesion, TASK.group} <= set(checked.table.columns):
        return None
    return Cohort(checked.table, TASK, labelled, FORBIDDEN, text.sha256)


def _test_cohort(table: pl.DataFrame, checksum: str) -> Cohort:
    """Typed columns of lesions to predict as a cohort."""
    return Cohort(table, TASK, False, FORBIDDEN, checksum)


def _images(folder: Path, part: str, found: Readout) -> ImageSource | None:
    """The images of one part, in either published form."""
    for path in (folder / f"{part}-image.hdf5", folder / f"{part}-image"):
        if path.exists():
            return images_at(path)
    found.errors.append(f"{part}-image.hdf5 is missing, and so is the folder {part}-image/image")
    return None


def _take_tables_alone(found: Readout) -> None:
    """A folder without any image is one of tables, where these are whole: enough when no model sees images."""
    absent = [error for error in found.errors if error.endswith("-image/image")]
    if len(absent) == len(found.errors) and found.train_images is None and found.test_images is None:
        found.errors.clear()
        found.notes += absent


def _submission_ids(path: Path, found: Readout) -> npt.NDArray[np.str_] | None:
    """Ids of the sample submission in its order, which must be those of the test table."""
    text = found.text(path) if path.exists() else None
    if text is None:
        return None
    checked = validate(text, SUBMISSION_SCHEMA)
    found.record(path.name, checked.errors, ())
    if checked.errors:
        return None
    ids = checked.table["isic_id"]
    if found.test is not None:
        known = found.test.table["isic_id"]
        found.refuse(ids.filter(~ids.is_in(known.implode())), f"{path.name}: ids without a row in test-metadata.csv")
        found.refuse(known.filter(~known.is_in(ids.implode())), f"{path.name}: test lesions without a row")
    else:
        found.notes.append(f"{path.name} is not used: there is no usable test-metadata.csv")
    return as_ids(ids.to_list(), path.name)


def _compare(train: Cohort, test: Cohort, found: Readout) -> None:
    """Lesions in both parts are an error; unseen categories and patients in both are worth knowing."""
    both = test.table["isic_id"].filter(test.table["isic_id"].is_in(train.table["isic_id"].implode()))
    found.refuse(both, "lesions in both train-metadata.csv and test-metadata.csv")
    patients = test.table["patient_id"].unique()
    shared = patients.is_in(train.table["patient_id"].implode()).sum()
    if shared:
        found.notes.append(f"test-metadata.csv: {shared:,} of {len(patients):,} patients are in the training table too")
    for column in TEST_SCHEMA:
        if column.kind == "category" and column.name in test.table.columns and column.name in train.table.columns:
            seen = train.table[column.name].drop_nulls().unique().to_list()
            remarks = unknown_categories(test.table[column.name], seen, "that the training table does not have")
            found.notes += [f"test-metadata.csv: column {column.name}: {remark}" for remark in remarks]


READER = Reader(
    "isic2024",
    bind=lambda _: Functions(read, read_test, write_twin, published_in_parts(TEST_SCHEMA, _test_cohort)),
    synthetic_table="synthetic",
    task=TASK,
    told_columns=ToldColumns(("age_approx", "sex", "anatom_site_general"), "anatom_site_general"),
)
