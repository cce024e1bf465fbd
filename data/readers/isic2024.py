"""ISIC 2024 (SLICE-3D), read from the folder as Kaggle publishes it.

`train-metadata.csv`, `train-image.hdf5` (or `train-image/image/<isic_id>.jpg`), and where they exist the same for test
and `sample_submission.csv`. Gives a `DataFolder`; images are decoded elsewhere.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort, DataFolder, Task
from data.errors import DataError
from data.images.sources import ImageSource
from data.readers.reading import FolderError, Readout, Unlabelled, given_images, images_at
from data.tables.csv import read_csv
from data.tables.schema import Column, unknown_categories, validate

TASK = Task(lesion="isic_id", group="patient_id", target="target")

SITES = ("anterior torso", "head/neck", "lower extremity", "posterior torso", "upper extremity")


def _number(
    name: str, unit: str = "", low: float | None = None, high: float | None = None, train_only: bool = False
) -> Column:
    return Column(name, "number", unit, low, high, train_only=train_only)


def _train_only(name: str) -> Column:
    return Column(name, "text", train_only=True)


# Limits are what is possible, not what was seen: a value beyond one is a slip of the pen, a unit or a column.
SCHEMA = (
    Column("isic_id", "text", nullable=False, unique=True),
    Column("target", "integer", low=0, high=1, nullable=False, train_only=True),
    Column("patient_id", "text", nullable=False),
    _number("age_approx", "years", 0, 120),
    Column("sex", "category", known=("female", "male")),
    Column("anatom_site_general", "category", known=SITES),
    _number("clin_size_long_diam_mm", "mm", 0, 500),
    Column("image_type", "category"),
    Column("tbp_tile_type", "category"),
    _number("tbp_lv_A", "CIELAB", -200, 200),
    _number("tbp_lv_Aext", "CIELAB", -200, 200),
    _number("tbp_lv_B", "CIELAB", -200, 200),
    _number("tbp_lv_Bext", "CIELAB", -200, 200),
    _number("tbp_lv_C", "CIELAB", 0, 300),
    _number("tbp_lv_Cext", "CIELAB", 0, 300),
    _number("tbp_lv_H", "degrees", -180, 360),
    _number("tbp_lv_Hext", "degrees", -180, 360),
    _number("tbp_lv_L", "CIELAB", 0, 150),
    _number("tbp_lv_Lext", "CIELAB", 0, 150),
    _number("tbp_lv_areaMM2", "mm2", 0, 1e5),
    _number("tbp_lv_area_perim_ratio", "", 0, 1e4),
    _number("tbp_lv_color_std_mean", "CIELAB", 0, 200),
    _number("tbp_lv_deltaA", "CIELAB", -300, 300),
    _number("tbp_lv_deltaB", "CIELAB", -300, 300),
    _number("tbp_lv_deltaL", "CIELAB", -300, 300),
    _number("tbp_lv_deltaLB", "CIELAB", 0, 300),
    _number("tbp_lv_deltaLBnorm", "CIELAB", 0, 300),
    _number("tbp_lv_eccentricity", "", 0, 1),
    Column("tbp_lv_location", "category"),
    Column("tbp_lv_location_simple", "category"),
    _number("tbp_lv_minorAxisMM", "mm", 0, 500),
    _number("tbp_lv_nevi_confidence", "%", 0, 100),
    _number("tbp_lv_norm_border", "", 0, 10),
    _number("tbp_lv_norm_color", "", 0, 10),
    _number("tbp_lv_perimeterMM", "mm", 0, 5000),
    _number("tbp_lv_radial_color_std_max", "CIELAB", 0, 200),
    _number("tbp_lv_stdL", "CIELAB", 0, 150),
    _number("tbp_lv_stdLExt", "CIELAB", 0, 150),
    _number("tbp_lv_symm_2axis", "", 0, 1),
    Column("tbp_lv_symm_2axis_angle", "integer", "degrees", 0, 180),
    _number("tbp_lv_x", "mm", -5000, 5000),
    _number("tbp_lv_y", "mm", -5000, 5000),
    _number("tbp_lv_z", "mm", -5000, 5000),
    Column("attribution", "category"),
    Column("copyright_license", "category"),
    _train_only("lesion_id"),
    _train_only("iddx_full"),
    _train_only("iddx_1"),
    _train_only("iddx_2"),
    _train_only("iddx_3"),
    _train_only("iddx_4"),
    _train_only("iddx_5"),
    _train_only("mel_mitotic_index"),
    _number("mel_thick_mm", "mm", 0, 500, train_only=True),
    _number("tbp_lv_dnn_lesion_confidence", "%", 0, 100, train_only=True),
)

TEST_SCHEMA = tuple(column for column in SCHEMA if not column.train_only)

FORBIDDEN = frozenset(column.name for column in SCHEMA if column.train_only)
"""The target and the ten columns known only after the diagnosis."""

SUBMISSION_SCHEMA = (Column("isic_id", "text", nullable=False, unique=True), _number("target"))


def read(folder: Path) -> DataFolder:
    """Read and validate the whole folder; `FolderError` lists every problem of every file."""
    if not folder.is_dir():
        raise DataError(
            f"{folder} is not a folder. Give the folder with train-metadata.csv (DATA=... or --data), or make the "
            "synthetic cohort with `make demo-data`."
        )
    found = Readout()
    found.train = _cohort(folder / "train-metadata.csv", labelled=True, found=found)
    found.train_images = _images(folder, "train", found)
    if (folder / "test-metadata.csv").exists():
        found.test = _cohort(folder / "test-metadata.csv", labelled=False, found=found)
        found.test_images = _images(folder, "test", found)
    ids = _submission_ids(folder / "sample_submission.csv", found)
    if found.train is not None and found.test is not None:
        _compare(found.train, found.test, found)
    if found.errors or found.train is None or found.train_images is None:
        raise FolderError(folder, found)
    return DataFolder(found.train, found.test, found.train_images, found.test_images, ids, tuple(found.notes))


def read_test(metadata_path: Path, images_path: Path | None) -> Unlabelled:
    """Read lesions to predict without any training data: a table with the 44 test columns, their images, and notes."""
    found = Readout()
    cohort = _cohort(metadata_path, labelled=False, found=found)
    images = given_images(images_path, found)
    if found.errors or cohort is None:
        raise FolderError(metadata_path.parent, found)
    return cohort, images, tuple(found.notes)


def read_competition(folder: Path) -> tuple[Unlabelled, npt.NDArray[np.str_] | None]:
    """Read the test part of Kaggle's folder alone, and the order of its sample submission if there is one."""
    found = Readout()
    found.test = _cohort(folder / "test-metadata.csv", labelled=False, found=found)
    found.test_images = _images(folder, "test", found)
    ids = _submission_ids(folder / "sample_submission.csv", found)
    if found.errors or found.test is None:
        raise FolderError(folder, found)
    return (found.test, found.test_images, tuple(found.notes)), ids


def _cohort(path: Path, *, labelled: bool, found: Readout) -> Cohort | None:
    """One metadata file as a cohort; None when it is unusable, the reasons in `found`."""
    if not path.exists():
        found.errors.append(f"{path.name} is missing")
        return None
    try:
        text = read_csv(path)
    except DataError as error:
        found.errors.append(str(error))
        return None
    checked = validate(text, SCHEMA if labelled else TEST_SCHEMA)
    errors = list(checked.errors)
    if labelled and not errors and checked.table["target"].n_unique() == 1:
        errors.append(f"column target: every row is {checked.table['target'][0]}; both classes are needed")
    found.errors += [f"{path.name}: {error}" for error in errors]
    found.notes += [f"{path.name}: {note}" for note in checked.notes]
    if not {TASK.lesion, TASK.group} <= set(checked.table.columns):
        return None
    return Cohort(checked.table, TASK, labelled, FORBIDDEN, text.sha256)


def _images(folder: Path, part: str, found: Readout) -> ImageSource | None:
    """The images of one part, in either published form."""
    for path in (folder / f"{part}-image.hdf5", folder / f"{part}-image"):
        if path.exists():
            return images_at(path)
    found.errors.append(f"{part}-image.hdf5 is missing, and so is the folder {part}-image/image")
    return None


def _submission_ids(path: Path, found: Readout) -> npt.NDArray[np.str_] | None:
    """Ids of the sample submission in its order, which must be those of the test table."""
    if not path.exists():
        return None
    try:
        checked = validate(read_csv(path), SUBMISSION_SCHEMA)
    except DataError as error:
        found.errors.append(str(error))
        return None
    found.errors += [f"{path.name}: {error}" for error in checked.errors]
    if checked.errors:
        return None
    ids = checked.table["isic_id"]
    if found.test is not None:
        known = found.test.table["isic_id"]
        _name_ids(
            ids.filter(~ids.is_in(known.implode())), f"{path.name}: ids without a row in test-metadata.csv", found
        )
        _name_ids(known.filter(~known.is_in(ids.implode())), f"{path.name}: test lesions without a row", found)
    else:
        found.notes.append(f"{path.name} is not used: there is no usable test-metadata.csv")
    return ids.to_numpy().astype(np.str_)


def _compare(train: Cohort, test: Cohort, found: Readout) -> None:
    """Lesions in both parts are an error; unseen categories and patients in both are worth knowing."""
    both = test.table["isic_id"].filter(test.table["isic_id"].is_in(train.table["isic_id"].implode()))
    _name_ids(both, "lesions in both train-metadata.csv and test-metadata.csv", found)
    patients = test.table["patient_id"].unique()
    shared = patients.is_in(train.table["patient_id"].implode()).sum()
    if shared:
        found.notes.append(f"test-metadata.csv: {shared:,} of {len(patients):,} patients are in the training table too")
    for column in TEST_SCHEMA:
        if column.kind == "category" and column.name in test.table.columns and column.name in train.table.columns:
            seen = train.table[column.name].drop_nulls().unique().to_list()
            remarks = unknown_categories(test.table[column.name], seen, "that the training table does not have")
            found.notes += [f"test-metadata.csv: column {column.name}: {remark}" for remark in remarks]


def _name_ids(ids: pl.Series, what: str, found: Readout) -> None:
    """An error about ids, with the first few."""
    if len(ids):
        shown = ", ".join(ids.drop_nulls().head(3).to_list()) + (", ..." if len(ids) > 3 else "")
        found.errors.append(f"{what}: {len(ids):,} ({shown})")
