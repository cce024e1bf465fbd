"""ISIC 2024 as the archive itself publishes it, without an account: other file names, and a table in three pieces.

`ISIC_2024_Training_GroundTruth.csv` has the answers, `ISIC_2024_Training_Supplement.csv` what is known only with them
(and in some editions everything else), and `metadata.csv`, which lies among the images, the measurements. All are
joined by lesion to the table that Kaggle published. The permissive edition has the same files under other names.
"""

import zipfile
import zlib
from pathlib import Path

import polars as pl

from data.errors import DataError, examples
from data.files import fingerprint
from data.held import scratch_folder
from data.images.sources import FolderImages, ImageSource
from data.images.zipped import ZippedImages
from data.readers.reading import Readout
from data.schemas.isic2024 import SCHEMA
from data.tables.csv import MAX_SHOWN, ROW, TextTable

EDITIONS = ("ISIC_2024_Training", "ISIC_2024_Permissive_Training")
"""What the files of an edition begin with."""
TITLES = {"malignant": "target"}
"""Columns that are called otherwise than Kaggle's."""
MEASUREMENTS = "metadata.csv"
MAX_BYTES = 2**31
"""Of that table, unpacked; the published one has a tenth."""


def edition_in(folder: Path) -> str | None:
    """The edition whose files are in a folder; None when there is none."""
    return next((name for name in EDITIONS if (folder / f"{name}_GroundTruth.csv").is_file()), None)


def training_table(folder: Path, edition: str, found: Readout) -> TextTable | None:
    """The three tables as one with Kaggle's columns; None when one cannot be read, the reasons in `found`."""
    truth = found.text(folder / f"{edition}_GroundTruth.csv")
    supplement, measurements = found.text(folder / f"{edition}_Supplement.csv"), _measurements(folder, edition, found)
    if truth is None or supplement is None:
        return None
    tables = [truth, supplement] if measurements is None else [truth, measurements, supplement]
    nameless = [table.name for table in tables if "isic_id" not in table.columns]
    if nameless:
        found.errors.append(f"{' and '.join(nameless)}: column isic_id is missing")
        return None
    frame = truth.frame.drop(ROW).rename({old: new for old, new in TITLES.items() if old in truth.columns})
    for table in tables[1:]:
        _compare(truth, table, found)
        kept = ["isic_id", *(name for name in table.columns if name not in frame.columns)]
        frame = frame.join(table.frame.select(kept), on="isic_id", how="left", maintain_order="left")
    absent = [column.name for column in SCHEMA if column.train_only and column.name not in {"target", *frame.columns}]
    if absent:
        found.notes.append(f"{edition}: columns known only with the diagnosis that are empty: {', '.join(absent)}")
        frame = frame.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in absent)
    return TextTable(
        name=f"tables of {edition}",
        frame=frame.with_row_index(ROW),
        duplicated=tuple(dict.fromkeys(name for table in tables for name in table.duplicated)),
        sha256=fingerprint([table.sha256 for table in tables]),
        one_row_per_line=False,
    )


def images_of(folder: Path, edition: str, found: Readout) -> ImageSource | None:
    """The images: the archive as it was fetched, or the folder that it was unpacked to."""
    packed, unpacked = folder / f"{edition}_Input.zip", folder / f"{edition}_Input"
    if unpacked.is_dir():
        return FolderImages(unpacked)
    if packed.is_file():
        return ZippedImages(packed)
    found.errors.append(f"{packed.name} is missing, and so is the folder {unpacked.name}")
    return None


def _measurements(folder: Path, edition: str, found: Readout) -> TextTable | None:
    """The table among the images; None where there is none."""
    unpacked, packed = folder / f"{edition}_Input", folder / f"{edition}_Input.zip"
    # Unpacking by hand often puts the folder into one of the same name.
    for path in (unpacked / MEASUREMENTS, unpacked / unpacked.name / MEASUREMENTS):
        if path.is_file():
            return found.text(path)
    if not packed.is_file() or unpacked.is_dir():
        return None
    try:
        with zipfile.ZipFile(packed) as archive, scratch_folder() as scratch:
            inside = next((one for one in archive.infolist() if one.filename.rpartition("/")[2] == MEASUREMENTS), None)
            if inside is None:
                return None
            if inside.file_size > MAX_BYTES:
                raise DataError(f"{packed}: {inside.filename} claims {inside.file_size:,} bytes, too many for a table.")
            copy = scratch / f"{packed.stem}-{MEASUREMENTS}"
            copy.write_bytes(archive.read(inside))
            return found.text(copy)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, ValueError, EOFError) as error:
        raise DataError(f"{packed} cannot be opened as a zip archive ({error}). Fetch it again.") from error


def _compare(truth: TextTable, table: TextTable, found: Readout) -> None:
    """Lesions that only one of two tables has are an error."""
    answered, described = truth.frame["isic_id"], table.frame["isic_id"]
    for ids, where in (
        (answered.filter(~answered.is_in(described.implode())), table.name),
        (described.filter(~described.is_in(answered.implode())), truth.name),
    ):
        if len(ids):
            found.errors.append(f"{where}: {len(ids):,} lesions are missing ({examples(ids, MAX_SHOWN)})")
