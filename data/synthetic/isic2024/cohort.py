"""A cohort like SLICE-3D, drawn from a seed and written in exactly the files Kaggle publishes for ISIC 2024.

For demonstrations, tests and benchmarks without medical data; `docs/synthetic.md` tells how it is made. One file more
than Kaggle's, `test-answers.csv`, holds the test labels and their public and private part: only printing the score
opens it.
"""

import math
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import polars as pl

from data.processes import in_order, worker_processes
from data.progress import Progress, silent
from data.schemas.isic2024 import SCHEMA, TEST_SCHEMA
from data.synthetic.isic2024.devices import shifted
from data.synthetic.isic2024.diagnoses import diagnoses
from data.synthetic.isic2024.facts import facts
from data.synthetic.isic2024.images import encode, looks_of
from data.synthetic.isic2024.lesions import MALIGNANT, Lesions, draw_lesions, simple_location
from data.synthetic.isic2024.patients import UNSEEN_ATTRIBUTION, Patients, Texts, draw_patients, numbered
from data.synthetic.isic2024.recipe import Counts, SyntheticRecipe
from data.whole_folder import write_whole

GENERATION = 3
"""Counts changes of this generator that change what a recipe writes."""

PUBLIC_SHARE = 0.28
"""Part of the test lesions behind the public score."""

_CHUNK = 250
"""Images that one process draws before it reports."""

_ABOUT_A_PICTURE = 1000
"""Bytes that HDF5 takes for one beside its own; 400 were measured."""

_LATER = 2**25
"""Most of them that it writes when the file is closed, the size of its cache."""


@dataclass(frozen=True)
class DrawnLesions:
    """The training or the test lesions in order of id: every column, and the looks their pictures are drawn from."""

    table: pl.DataFrame
    looks: npt.NDArray[np.void]


def draw_cohort(recipe: SyntheticRecipe) -> tuple[DrawnLesions, DrawnLesions]:
    """Draw the training and the test part in memory, without drawing a picture."""
    rng = np.random.default_rng([recipe.seed, 0])
    train, test = recipe.counts, recipe.test_counts
    lesion_ids = numbered("ISIC", train.lesions + test.lesions, 7, rng)
    patient_ids = numbered("IP", train.patients + test.patients, 7, rng)
    return (
        _draw(recipe, train, lesion_ids[: train.lesions], patient_ids[: train.patients], part=1),
        _draw(recipe, test, lesion_ids[train.lesions :], patient_ids[train.patients :], part=2),
    )


def _draw(recipe: SyntheticRecipe, size: Counts, lesion_ids: Texts, patient_ids: Texts, part: int) -> DrawnLesions:
    rng = np.random.default_rng([recipe.seed, part])
    patients = draw_patients(patient_ids, size.lesions, rng, with_unseen_attribution=part == 2)
    devices = None
    if recipe.institution_shift:
        patients, devices = shifted(patients, recipe.institution_shift, recipe.seed)
    lesions = draw_lesions(patients, size.malignant, size.biopsied, rng, devices)
    table = full_table(patients, lesions, lesion_ids, rng)
    order = np.argsort(lesion_ids)
    return DrawnLesions(table[order], looks_of(patients, lesions, rng)[order])


def write_cohort(
    folder: Path, recipe: SyntheticRecipe, *, progress: Progress = silent, workers: int | None = None
) -> None:
    """Write the cohort into `folder`, which must be new, empty or already hold this very cohort (then nothing is done).

    The files appear together, complete: they are written beside `folder`, which is then given its name.
    """
    write_whole(folder, _identity(recipe), lambda new: _write_files(new, recipe, progress, workers))


def _identity(recipe: SyntheticRecipe) -> dict[str, Any]:
    return {"generation": GENERATION, "recipe": recipe.identity}


def _write_files(folder: Path, recipe: SyntheticRecipe, progress: Progress, workers: int | None) -> None:
    train, test = draw_cohort(recipe)
    train.table.write_csv(folder / "train-metadata.csv")
    test.table.select(TEST_COLUMNS).write_csv(folder / "test-metadata.csv")
    test.table.select("isic_id", pl.lit(0.3).alias("target")).write_csv(folder / "sample_submission.csv")
    _answers(test.table, np.random.default_rng([recipe.seed, 3])).write_csv(folder / "test-answers.csv")
    if recipe.images:
        total = train.table.height + test.table.height
        _write_images(folder / "train-image.hdf5", train, progress, 0, total, workers)
        _write_images(folder / "test-image.hdf5", test, progress, train.table.height, total, workers)


def _answers(table: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """The answer key: 28 % of each class, chosen at random, are public."""
    target = table["target"].to_numpy()
    public = np.zeros(target.size, dtype=np.bool_)
    for label in (0, 1):
        rows = rng.permutation(np.flatnonzero(target == label))
        public[rows[: max(1, round(PUBLIC_SHARE * rows.size))]] = True
    return table.select("isic_id", "target").with_columns(
        pl.Series("split", np.where(public, "public", "private").tolist())
    )


def _write_images(
    path: Path, lesions: DrawnLesions, progress: Progress, before: int, total: int, workers: int | None
) -> None:
    """Stream the pictures into Kaggle's form: a scalar byte string per lesion at the root of an HDF5 file."""
    done = 0
    with h5py.File(path, "w") as file:
        ids = lesions.table["isic_id"].to_list()
        for encoded in _encoded(lesions.looks, workers):
            _require_room(path, sum(map(len, encoded)) + min(_LATER, _ABOUT_A_PICTURE * (done + len(encoded))))
            for picture in encoded:
                file.create_dataset(ids[done], data=np.bytes_(picture))
                done += 1
            progress(before + done, total)


def _require_room(path: Path, needed: int) -> None:
    """OSError where so many bytes more find no room: HDF5 cannot even close a file that it could not write."""
    with tempfile.TemporaryFile(dir=path.parent) as file:
        os.posix_fallocate(file.fileno(), path.stat().st_size, needed)


def _encoded(looks: npt.NDArray[np.void], workers: int | None) -> Iterator[list[bytes]]:
    """Chunks of pictures in order, drawn by several processes when there are enough to be worth it."""
    chunks = [looks[start : start + _CHUNK] for start in range(0, looks.size, _CHUNK)]
    count = min(workers if workers is not None else os.cpu_count() or 1, math.ceil(len(chunks) / 2))
    if count <= 1:
        yield from map(_encode_chunk, chunks)
        return
    with worker_processes(count, "draws the synthetic cohort") as pool:
        # A few chunks ahead of the writer, so that memory does not grow with the cohort.
        yield from in_order(pool, _encode_chunk, chunks, ahead=3 * count)


def _encode_chunk(looks: npt.NDArray[np.void]) -> list[bytes]:
    return [encode(look) for look in looks]


TRAIN_COLUMNS = tuple(column.name for column in SCHEMA)
TEST_COLUMNS = tuple(column.name for column in TEST_SCHEMA)


def full_table(patients: Patients, lesions: Lesions, ids: Texts, rng: np.random.Generator) -> pl.DataFrame:
    """Every published column of every lesion, in the order of the lesions given, not yet in that of the ids."""
    places = facts()["locations"]
    origins = [(place["attribution"], place["licence"]) for place in facts()["attributions"]] + [UNSEEN_ATTRIBUTION]
    row = patients.of_lesion
    origin = patients.attribution[row]
    of_location = pl.DataFrame(
        {
            "anatom_site_general": [place["site"] for place in places],
            "tbp_lv_location": [place["location"] for place in places],
            "tbp_lv_location_simple": [simple_location(place["location"]) for place in places],
        }
    )[lesions.location]
    of_origin = pl.DataFrame(origins, schema=["attribution", "copyright_license"], orient="row")[origin]
    of_patient = pl.DataFrame(
        {
            "patient_id": patients.ids.tolist(),
            "age_approx": pl.Series(patients.age, dtype=pl.Float32).fill_nan(None),
            "sex": pl.Series(patients.sex.tolist(), dtype=pl.String).replace("", None),
            "tbp_tile_type": np.where(patients.cross_polarised, "3D: XP", "3D: white").tolist(),
        }
    )[row]
    measured = pl.DataFrame(lesions.columns).drop("tbp_lv_dnn_lesion_confidence").cast(pl.Float32)
    table = pl.concat(
        [
            pl.DataFrame({"isic_id": ids.tolist(), "target": (lesions.kind == MALIGNANT).astype(np.int64)}),
            of_patient,
            of_location,
            of_origin,
            measured.with_columns(pl.col("tbp_lv_symm_2axis_angle").cast(pl.Int64)),
            diagnoses(lesions, rng).with_columns(
                pl.col("mel_thick_mm", "tbp_lv_dnn_lesion_confidence").cast(pl.Float32)
            ),
        ],
        how="horizontal",
    )
    return table.with_columns(pl.lit("TBP tile: close-up").alias("image_type")).select(TRAIN_COLUMNS)
