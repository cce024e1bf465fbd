"""MILK10k (ISIC 2025), read from its tables and images as published: eleven diagnoses of lesions with two images each.

`MILK10k_Training_Metadata.csv` has a row for each image; here a row is a lesion. What both rows say of the lesion (age,
sex, skin tone, site) is one column; what belongs to an image is two, `..._dermoscopic` and `..._clinical`. The answers
are in `MILK10k_Training_GroundTruth.csv`. The supplement is known only with the diagnosis and is not read. Four
readers differ in what the networks see: the dermoscopic image, the clinical one, both, or none.
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data.cohort import Cohort, DataFolder
from data.errors import DataError, examples
from data.files import fingerprint
from data.images.joined import NamedImages, SeveralPictures
from data.images.sources import ImageSource
from data.progress import Progress
from data.readers.reading import Reader, Readout, ToldColumns, Unlabelled, given_images
from data.schemas.milk10k import (
    DIAGNOSES,
    FORBIDDEN,
    IMAGES,
    KINDS,
    METADATA,
    METADATA_SCHEMA,
    OF_IMAGE,
    OF_LESION,
    TASK,
    TRUTH,
    TRUTH_SCHEMA,
)
from data.synthetic.recipe import TwinRecipe
from data.tables.csv import MAX_SHOWN


@dataclass(frozen=True)
class Milk10k:
    """Reads MILK10k with one of the two kinds of image, with both, or without images."""

    kinds: tuple[str, ...]
    """Which images of a lesion the networks see, of `KINDS`; none for the tables alone."""

    def read(self, folder: Path, /) -> DataFolder:
        """Read and validate the folder; `FolderError` lists every problem."""
        path = folder / METADATA.format(part="Training")
        if not path.is_file():
            raise DataError(f"{folder} has no {path.name}; give the folder with the tables and images of MILK10k")
        found = Readout()
        found.train = self._training(path, folder / TRUTH, found)
        found.train_images = self._images(folder, "Training", found.train, found)
        test_path = folder / METADATA.format(part="Test")
        if test_path.is_file():
            found.test = _lesions(test_path, found)
            found.test_images = self._images(folder, "Test", found.test, found)
            _refuse_shared(found)
        return found.folder(folder)

    def read_test(self, metadata_path: Path, images_path: Path | None, /) -> Unlabelled:
        """Read lesions to predict: a table like the published one, with a row for each image."""
        found = Readout()
        found.test = _lesions(metadata_path, found)
        if self.kinds:
            found.test_images = self._named(given_images(images_path, found), found.test)
        return found.unlabelled(metadata_path.parent)

    def write_twin(self, folder: Path, recipe: TwinRecipe, progress: Progress, /) -> None:
        """Write the synthetic twin, with images of both kinds where the reader has any."""
        from data.synthetic.milk10k import write

        write(folder, recipe, progress, images=bool(self.kinds))

    def _training(self, path: Path, truth_path: Path, found: Readout) -> Cohort | None:
        """The training lesions with their diagnoses; None when either table is unusable."""
        lesions, text = _lesions(path, found), found.text(truth_path)
        if text is None:
            return None
        truth = found.typed(text, TRUTH_SCHEMA)
        if truth.errors or lesions is None:
            return None
        marks = truth.table.select(DIAGNOSES)
        several = truth.table.filter(marks.sum_horizontal() != 1)["lesion_id"]
        found.refuse(several, f"{TRUTH}: lesions without exactly one diagnosis")
        answers = truth.table.select(
            "lesion_id", pl.concat_list(DIAGNOSES).list.arg_max().cast(pl.Int64).alias(TASK.target)
        )
        ids, answered = lesions.table["lesion_id"], answers["lesion_id"]
        found.refuse(ids.filter(~ids.is_in(answered.implode())), f"{path.name}: lesions without a row in {TRUTH}")
        found.refuse(answered.filter(~answered.is_in(ids.implode())), f"{TRUTH}: lesions without a row in {path.name}")
        table = lesions.table.join(answers, on="lesion_id", how="left", maintain_order="left")
        checksum = fingerprint([lesions.fingerprint, text.sha256])
        return Cohort(table, TASK, labelled=True, forbidden=FORBIDDEN, fingerprint=checksum)

    def _images(self, folder: Path, part: str, cohort: Cohort | None, found: Readout) -> ImageSource | None:
        """The images of one part, of the reader's kinds."""
        if not self.kinds:
            return None
        return self._named(given_images(folder / IMAGES.format(part=part), found), cohort)

    def _named(self, source: ImageSource | None, cohort: Cohort | None) -> ImageSource | None:
        """Of all images, the one of each lesion, or the several, of the reader's kinds."""
        if source is None or cohort is None:
            return None
        pictures = {
            kind: NamedImages(
                source, dict(cohort.table.select("lesion_id", f"isic_id_{kind}").drop_nulls().iter_rows())
            )
            for kind in self.kinds
        }
        return SeveralPictures(pictures) if len(pictures) > 1 else next(iter(pictures.values()))


def _lesions(path: Path, found: Readout) -> Cohort | None:
    """A table of images as a cohort of lesions; None when it is unusable, the reasons in `found`."""
    text = found.text(path)
    if text is None:
        return None
    checked = found.typed(text, METADATA_SCHEMA)
    if checked.errors:
        return None
    images, before = checked.table, len(found.errors)
    strange = images.filter(~images["image_type"].is_in(list(KINDS.values())))["image_type"].unique(maintain_order=True)
    found.refuse(strange, f"{path.name}: column image_type: neither {' nor '.join(map(repr, KINDS.values()))}")
    doubled = images.filter(images.select("lesion_id", "image_type").is_duplicated())["lesion_id"]
    found.refuse(doubled.unique(maintain_order=True), f"{path.name}: lesions with two images of one kind")
    if len(found.errors) > before:
        return None
    _remark(images, path.name, found)
    return Cohort(joined(images), TASK, False, FORBIDDEN, text.sha256)


def joined(images: pl.DataFrame) -> pl.DataFrame:
    """One row for each lesion, in the order in which the lesions come, out of one row for each image."""
    of_lesion = [pl.col(column.name).drop_nulls().first() for column in OF_LESION]
    lesions = images.group_by("lesion_id", maintain_order=True).agg(of_lesion)
    for kind, image_type in KINDS.items():
        own = images.filter(pl.col("image_type") == image_type).select(
            "lesion_id", *(pl.col(column.name).alias(f"{column.name}_{kind}") for column in OF_IMAGE)
        )
        lesions = lesions.join(own, on="lesion_id", how="left", maintain_order="left")
    return lesions


def _remark(images: pl.DataFrame, name: str, found: Readout) -> None:
    """Say which lesions lack an image of a kind, and of which the two rows say different things."""
    by_lesion = images.group_by("lesion_id", maintain_order=True)
    for kind, image_type in KINDS.items():
        lacking = by_lesion.agg((pl.col("image_type") == image_type).any().alias("has")).filter(~pl.col("has"))
        if lacking.height:
            some = examples(lacking["lesion_id"], MAX_SHOWN)
            found.notes.append(f"{name}: {lacking.height:,} lesions without a {kind} image ({some})")
    for column in OF_LESION:
        values = by_lesion.agg(pl.col(column.name).drop_nulls().n_unique())
        differing = values.filter(pl.col(column.name) > 1)["lesion_id"]
        if len(differing):
            some = examples(differing, MAX_SHOWN)
            found.notes.append(
                f"{name}: column {column.name}: the two rows of {len(differing):,} lesions differ ({some}); the first "
                "counts"
            )


def _refuse_shared(found: Readout) -> None:
    """A lesion in both parts is an error."""
    if found.train is not None and found.test is not None:
        test, train = found.test.table["lesion_id"], found.train.table["lesion_id"]
        found.refuse(test.filter(test.is_in(train.implode())), "lesions in both the training and the test part")


def _reader(name: str, *kinds: str) -> Reader:
    told = ToldColumns(("age_approx", "sex", "skin_tone_class", "site"), "site")
    pictures = kinds if len(kinds) > 1 else ()
    return Reader(
        name, lambda _: Milk10k(kinds), task=TASK, has_images=bool(kinds), told_columns=told, pictures=pictures
    )


READER = (
    _reader("milk10k", "dermoscopic"),
    _reader("milk10k_clinical", "clinical"),
    _reader("milk10k_both", *KINDS),
    _reader("milk10k_tables"),
)
