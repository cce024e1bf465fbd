"""TCGA-SKCM, cutaneous melanoma: was this specimen a metastasis? Read from cBioPortal's clinical tables, no images.

`data_clinical_patient.txt` and `data_clinical_sample.txt` of the study skcm_tcga_pan_can_atlas_2018, and, where it lies
beside them, `skcm_tcga_clinical_data.tsv` of the study skcm_tcga, which alone has Breslow depth, Clark level,
ulceration and mitotic rate. A row is a sample, a group a patient. Columns that follow from the answer are named in
`REFUSED`.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from data.cohort import Cohort, DataFolder, Task
from data.errors import DataError
from data.files import fingerprint
from data.readers.reading import FolderError, Readout, Unlabelled, cohort_of
from data.tables.csv import ROW, TextTable, read_csv
from data.tables.schema import Column, validate
from data.tables.text_rows import read_tab_separated

PATIENTS = "data_clinical_patient.txt"
SAMPLES = "data_clinical_sample.txt"
PRIMARY_TUMOUR = "skcm_tcga_clinical_data.tsv"

TASK = Task("SAMPLE_ID", "PATIENT_ID", "target", classes=("primary", "metastasis"), score="auc")

SAMPLE_SCHEMA = (
    Column("SAMPLE_ID", "text", nullable=False, unique=True),
    Column("PATIENT_ID", "text", nullable=False),
    Column("SAMPLE_TYPE", "category", nullable=False, train_only=True, known=("Primary", "Metastasis")),
    Column("ANEUPLOIDY_SCORE", "number", "chromosome arms", 0, 39),
    Column("TMB_NONSYNONYMOUS", "number", "mutations per Mb", 0, 1e4),
)

PATIENT_SCHEMA = (
    Column("PATIENT_ID", "text", nullable=False, unique=True),
    Column("AGE", "number", "years", 0, 120),
    Column("SEX", "category", known=("Female", "Male")),
    Column("RACE", "category"),
    Column("ETHNICITY", "category"),
    Column("WEIGHT", "number", "kg", 1, 500),
    Column("PRIOR_DX", "category"),
    Column("PATH_T_STAGE", "category"),
)

PRIMARY_SCHEMA = (
    Column("SAMPLE_ID", "text", nullable=False, unique=True),
    Column("BRESLOW_DEPTH", "number", "mm", 0, 500),
    Column("CLARK_LEVEL", "category", known=("I", "II", "III", "IV", "V")),
    Column("ULCERATION", "category", known=("NO", "YES")),
    Column("MITOTIC_RATE", "number", "per mm2", 0, 1e3),
    Column("FRACTION_GENOME_ALTERED", "number", "", 0, 1),
)

PRIMARY_TITLES = {
    "Sample ID": "SAMPLE_ID",
    "breslow depth": "BRESLOW_DEPTH",
    "Clark level at diagnosis": "CLARK_LEVEL",
    "Primary melanoma tumor ulceration": "ULCERATION",
    "Primary melanoma mitotic rate": "MITOTIC_RATE",
    "Fraction Genome Altered": "FRACTION_GENOME_ALTERED",
}
"""Its titles, which are cBioPortal's display names, as identifiers in the style of the other two tables."""

REFUSED = {
    "target": "the answer",
    "SAMPLE_TYPE": "the answer",
    "TUMOR_TISSUE_SITE": "says 'Regional Lymph Node' or 'Distant Metastasis'",
    "ICD_10": "codes the site of the specimen; C77 is a lymph node",
    "ICD_O_3_SITE": "codes the site of the specimen; C77 is a lymph node",
    "PATH_N_STAGE": "states metastases in lymph nodes",
    "PATH_M_STAGE": "states distant metastases",
    "AJCC_PATHOLOGIC_TUMOR_STAGE": "stages III and IV are defined by metastases",
    "MSI_SCORE_MANTIS": "measured for every primary tumour and for no metastasis: its presence is the answer",
    "MSI_SENSOR_SCORE": "measured for every primary tumour and for no metastasis: its presence is the answer",
    "SUBTYPE": "filled in for 99 % of the metastases and 7 % of the primary tumours",
    "IN_PANCANPATHWAYS_FREEZE": "98 % of the samples with Yes are metastases, 5 % of those with No",
    "HISTORY_NEOADJUVANT_TRTYN": "treatment before the resection, given for metastases",
    "RADIATION_THERAPY": "treatment that the finding led to",
    "NEW_TUMOR_EVENT_AFTER_INITIAL_TREATMENT": "known only afterwards",
    "PERSON_NEOPLASM_CANCER_STATUS": "known only afterwards",
    "PRIMARY_LYMPH_NODE_PRESENTATION_ASSESSMENT": "states metastases in lymph nodes",
    "DAYS_LAST_FOLLOWUP": "known only afterwards",
    **dict.fromkeys(
        (f"{kind}_{what}" for kind in ("OS", "DSS", "DFS", "PFS") for what in ("STATUS", "MONTHS")),
        "survival, known only afterwards",
    ),
    "TISSUE_SOURCE_SITE": "the hospital: some sent metastases alone, one mostly primary tumours",
    "TISSUE_SOURCE_SITE_CODE": "the hospital: some sent metastases alone, one mostly primary tumours",
    "TISSUE_PROSPECTIVE_COLLECTION_INDICATOR": "how the hospital collected: 96 % against 61 % metastases",
    "TISSUE_RETROSPECTIVE_COLLECTION_INDICATOR": "how the hospital collected: 96 % against 61 % metastases",
}
"""Columns that are never a feature, each with its reason."""

FORBIDDEN = frozenset(REFUSED)

NO_PRIMARY = ("TX", "T0")
"""Stages of a primary tumour that was not assessed or not found, which is no stage: taken as missing."""


def read(folder: Path, /) -> DataFolder:
    """Read and validate the tables; `FolderError` lists every problem."""
    if not (folder / SAMPLES).is_file():
        raise DataError(
            f"{folder} has no {SAMPLES}; give the folder of cBioPortal's study skcm_tcga_pan_can_atlas_2018"
        )
    found = Readout()
    found.train = _from_study(folder, True, found)
    return DataFolder(cohort_of(found, folder), None, None, None, notes=tuple(found.notes))


def read_test(metadata_path: Path, images_path: Path | None, /) -> Unlabelled:
    """Read samples to predict: a folder of the study's tables, or one CSV file with the columns of all of them."""
    if images_path is not None:
        raise DataError(f"TCGA-SKCM has no images, but images were given ({images_path}); leave them out")
    found = Readout()
    if metadata_path.is_dir():
        cohort = _from_study(metadata_path, False, found)
    else:
        cohort = _from_one_table(metadata_path, found)
    if cohort is None or found.errors:
        raise FolderError(metadata_path.parent, found)
    return cohort, None, tuple(found.notes)


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
    return _cohort(table, labelled, fingerprint(digests))


def _from_one_table(path: Path, found: Readout) -> Cohort | None:
    columns = {column.name: column for column in (*SAMPLE_SCHEMA, *PATIENT_SCHEMA[1:], *PRIMARY_SCHEMA[1:])}
    digests: list[str] = []
    table = _typed(path, [column for column in columns.values() if not column.train_only], found, digests)
    return None if table is None or found.errors else _cohort(table, False, fingerprint(digests))


def _typed(path: Path, schema: Sequence[Column], found: Readout, digests: list[str]) -> pl.DataFrame | None:
    """One table with the declared columns; columns that no feature needs are left out without a word."""
    try:
        text = read_csv(path) if path.suffix == ".csv" else read_tab_separated(path)
    except DataError as error:
        found.errors.append(str(error))
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
    checked = validate(TextTable(text.name, kept, duplicated, text.sha256, text.one_row_per_line), schema)
    errors = [*checked.errors]
    for column in schema:
        if column.train_only and column.known and column.name in checked.table.columns:
            strange = sorted(set(checked.table[column.name].drop_nulls()) - set(column.known))
            if strange:
                errors.append(f"column {column.name}: {', '.join(strange)}: not one of {', '.join(column.known)}")
    found.errors += [f"{path.name}: {error}" for error in errors]
    found.notes += [f"{path.name}: {note}" for note in checked.notes]
    return None if errors else checked.table


def _nothing(column: Column) -> pl.Expr:
    return pl.lit(None, dtype=pl.Float64 if column.numeric else pl.String).alias(column.name)


def _cohort(table: pl.DataFrame, labelled: bool, checksum: str) -> Cohort:
    table = table.with_columns(pl.col("PATH_T_STAGE").replace(dict.fromkeys(NO_PRIMARY)))
    if labelled:
        table = table.with_columns((pl.col("SAMPLE_TYPE") == "Metastasis").cast(pl.Int64).alias(TASK.target))
    return Cohort(table, TASK, labelled, FORBIDDEN, checksum)
