"""The clinical tables of TCGA-SKCM as cBioPortal publishes them: files, columns, and why most columns are refused."""

from data.cohort import Task
from data.tables.schema import Column

PATIENTS = "data_clinical_patient.txt"
SAMPLES = "data_clinical_sample.txt"
PRIMARY_TUMOUR = "skcm_tcga_clinical_data.tsv"

TASK = Task("SAMPLE_ID", "PATIENT_ID", "target", classes=("primary", "metastasis"), score="auc", row_noun="sample")

SAMPLE_SCHEMA = (
    Column("SAMPLE_ID", "text", nullable=False, unique=True),
    Column("PATIENT_ID", "text", nullable=False),
    Column("SAMPLE_TYPE", "category", nullable=False, train_only=True, known=("Primary", "Metastasis")),
    Column("ANEUPLOIDY_SCORE", "number", "chromosome arms", 0, 39),
    Column("TMB_NONSYNONYMOUS", "number", "mutations per Mb", 0, 1e4),
    Column("TISSUE_SOURCE_SITE", "category", train_only=True),
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
