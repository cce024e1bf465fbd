"""TCGA-SKCM, cutaneous melanoma: was this specimen a metastasis? Read from cBioPortal's clinical tables, no images.

`data_clinical_patient.txt` and `data_clinical_sample.txt` of the study skcm_tcga_pan_can_atlas_2018, and, where it lies
beside them, `skcm_tcga_clinical_data.tsv` of the study skcm_tcga, which alone has Breslow depth, Clark level,
ulceration and mitotic rate, and `data_mrna_seq_v2_rsem.txt` for the expression of some genes. A row is a sample, a
group a patient. Columns that follow from the answer are named in `data.schemas.tcga_skcm.REFUSED`.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from data.cohort import Cohort, DataFolder
from data.errors import DataError
from data.files import fingerprint
from data.progress import Progress
from data.readers.expression import EXPRESSION, panel_of, read_expression, schema_of
from data.readers.reading import Functions, Reader, Readout, Unlabelled
from data.schemas.tcga_skcm import (
    FORBIDDEN,
    NO_PRIMARY,
    PATIENT_SCHEMA,
    PATIENTS,
    PRIMARY_SCHEMA,
    PRIMARY_TITLES,
    PRIMARY_TUMOUR,
    SAMPLE_SCHEMA,
    SAMPLES,
    TASK,
)
from data.synthetic.recipe import TwinRecipe
from data.tables.csv import ROW, read_csv
from data.tables.schema import Column
from data.tables.text_rows import read_tab_separated


def read(folder: Path, /) -> DataFolder:
    """Read and validate the tables; `FolderError` lists every problem."""
    if not (folder / SAMPLES).is_file():
        raise DataError(
            f"{folder} has no {SAMPLES}; give the folder of cBioPortal's study skcm_tcga_pan_can_atlas_2018"
        )
    found = Readout()
    found.train = _from_study(folder, True, found)
    return found.folder(folder)


def read_test(metadata_path: Path, images_path: Path | None, /) -> Unlabelled:
    """Read samples to predict: a folder of the study's tables, or one CSV file with the columns of all of them."""
    if images_path is not None:
        raise DataError(f"TCGA-SKCM has no images, but images were given ({images_path}); leave them out")
    found = Readout()
    whole_study = metadata_path.is_dir()
    found.test = _from_study(metadata_path, False, found) if whole_study else _from_one_table(metadata_path, found)
    return found.unlabelled(metadata_path.parent)


def write_twin(folder: Path, recipe: TwinRecipe, progress: Progress) -> None:
    """Write the synthetic twin of both studies' tables."""
    from data.synthetic.tcga_skcm import write

    write(folder, recipe, progress)


def _from_study(folder: Path, labelled: bool, found: Readout) -> Cohort | None:
    """The tables joined by patient and by sample; None when one is unusable, the reasons in `found`."""
    wanted = [column for column in SAMPLE_SCHEMA if labelled or not column.train_only]
    digests: list[str] = []
    samples = _typed(folder / SAMPLES, wanted, found, digests)
    patients = _typed(folder / PATIENTS, PATIENT_SCHEMA, found, digests)
    has_primary = (folder / PRIMARY_TUMOUR).is_file()
    primary = _typed(folder / PRIMARY_TUMOUR, PRIMARY_SCHEMA, found, digests) if has_primary else None
    if found.errors or samples is None or patients is None:
        return None
    strangers = samples.join(patients, on="PATIENT_ID", how="anti")["PATIENT_ID"].to_list()
    if strangers:
        shown = ", ".join(strangers[:3])
        found.errors.append(f"{SAMPLES}: {len(strangers)} samples of patients that {PATIENTS} lacks ({shown})")
        return None
    table = samples.join(patients, on="PATIENT_ID", how="left", maintain_order="left")
    if primary is not None:
        table = table.join(primary, on="SAMPLE_ID", how="left", maintain_order="left")
    else:
        missing = ", ".join(column.name for column in PRIMARY_SCHEMA[1:])
        found.notes.append(f"no {PRIMARY_TUMOUR}, so the columns {missing} are empty")
        table = table.with_columns(_nothing(column) for column in PRIMARY_SCHEMA[1:])
    if (folder / EXPRESSION).is_file():
        try:
            levels, checksum = read_expression(folder / EXPRESSION, panel_of(folder))
        except (DataError, OSError, UnicodeDecodeError) as error:
            found.errors.append(str(error))
            return None
        digests.append(checksum)
        without = table.join(levels, on="SAMPLE_ID", how="anti").height
        if without:
            found.notes.append(f"{EXPRESSION}: {without:,} of {table.height:,} samples have no column")
        table = table.join(levels, on="SAMPLE_ID", how="left", maintain_order="left")
    return _cohort(table, labelled, fingerprint(digests))


def _from_one_table(path: Path, found: Readout) -> Cohort | None:
    columns = {column.name: column for column in (*SAMPLE_SCHEMA, *PATIENT_SCHEMA[1:], *PRIMARY_SCHEMA[1:])}
    text = found.text(path)
    if text is None:
        return None
    wanted = [*(column for column in columns.values() if not column.train_only), *schema_of(text.columns)]
    digests: list[str] = []
    table = _typed(path, wanted, found, digests)
    return None if table is None or found.errors else _cohort(table, False, fingerprint(digests))


def _typed(path: Path, schema: Sequence[Column], found: Readout, digests: list[str]) -> pl.DataFrame | None:
    """One table with the declared columns; columns that no feature needs are left out without a word."""
    text = found.text(path, read_csv if path.suffix == ".csv" else read_tab_separated)
    if text is None:
        return None
    digests.append(text.sha256)
    frame = text.frame.rename({old: new for old, new in PRIMARY_TITLES.items() if old in text.columns})
    # "[Not Available]", "[Completed]": cBioPortal's remarks in place of a value.
    frame = frame.with_columns(
        pl.when(pl.col(name).str.contains(r"^\[.*\]$")).then(None).otherwise(pl.col(name)).alias(name)
        for name in frame.columns
        if name != ROW
    )
    declared = {column.name for column in schema}
    kept = frame.select(ROW, *(name for name in frame.columns if name in declared))
    duplicated = tuple(name for name in text.duplicated if name in declared)
    checked = found.typed(replace(text, frame=kept, duplicated=duplicated), schema)
    return None if checked.errors else checked.table


def _nothing(column: Column) -> pl.Expr:
    return pl.lit(None, dtype=pl.Float64 if column.numeric else pl.String).alias(column.name)


def _cohort(table: pl.DataFrame, labelled: bool, checksum: str) -> Cohort:
    table = table.with_columns(pl.col("PATH_T_STAGE").replace(dict.fromkeys(NO_PRIMARY)))
    if labelled:
        table = table.with_columns((pl.col("SAMPLE_TYPE") == "Metastasis").cast(pl.Int64).alias(TASK.target))
    return Cohort(table, TASK, labelled, FORBIDDEN, checksum)


READER = Reader("tcga_skcm", lambda _: Functions(read, read_test, write_twin), task=TASK, has_images=False)
