"""A twin of the TCGA-SKCM tables: cBioPortal's study files with their header comments, and the other study's table.

Metastases are more often found at thick, ulcerated primary tumours in this twin, and the columns that follow from the
answer follow from it here too, so that refusing them can be tested. Patients are invented.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from data.progress import Progress
from data.schemas.tcga_skcm import PATIENTS, PRIMARY_TITLES, PRIMARY_TUMOUR, SAMPLES
from data.synthetic.recipe import TwinRecipe

METASTASES = 0.7
"""Share of the samples; 0.82 as published, which leaves few primary tumours in a small twin."""

HOSPITALS = ("Hospital A", "Hospital B", "Hospital C")

TWO_SAMPLES = 0.02
"""Share of the patients of whom there are two."""

_NUMBERS = frozenset({"AGE", "WEIGHT", "OS_MONTHS", "ANEUPLOIDY_SCORE", "MSI_SCORE_MANTIS", "TMB_NONSYNONYMOUS"})


def write(folder: Path, recipe: TwinRecipe, progress: Progress) -> None:
    """Write the twin into `folder`, which is empty."""
    rng = np.random.default_rng([recipe.seed, 30])
    patients = draw_patients(recipe.lesions, rng)
    samples = draw_samples(patients, recipe.lesions, rng)
    columns = ["SEX", "AGE", "RACE", "ETHNICITY", "WEIGHT", "PRIOR_DX", "PATH_T_STAGE", "PATH_N_STAGE", "PATH_M_STAGE"]
    write_study_file(folder / PATIENTS, patients.select("PATIENT_ID", *columns, "OS_STATUS", "OS_MONTHS"))
    written = ["PATIENT_ID", "SAMPLE_ID", "ONCOTREE_CODE", "TUMOR_TISSUE_SITE", "ANEUPLOIDY_SCORE", "SAMPLE_TYPE"]
    measured = ["MSI_SCORE_MANTIS", "TMB_NONSYNONYMOUS", "TISSUE_SOURCE_SITE"]
    hospitals = draw_hospitals(samples["PATIENT_ID"], np.random.default_rng([recipe.seed, 31]))
    write_study_file(folder / SAMPLES, samples.with_columns(hospitals).select(*written, *measured))
    larger = samples.join(patients, on="PATIENT_ID", how="left", maintain_order="left").select(
        pl.lit("skcm_tcga").alias("Study ID"),
        pl.col("PATIENT_ID").alias("Patient ID"),
        *(pl.col(name).alias(title) for title, name in PRIMARY_TITLES.items()),
        pl.col("SAMPLE_TYPE").alias("Sample Type"),
    )
    larger.write_csv(folder / PRIMARY_TUMOUR, separator="\t", null_value="NA")
    progress(recipe.lesions, recipe.lesions)


def draw_patients(samples: int, rng: np.random.Generator) -> pl.DataFrame:
    """Demographics, primary tumour and outcome, one row per patient; `metastatic` is for the samples alone."""
    count = samples - int(TWO_SAMPLES * samples)
    metastatic = rng.random(count) < METASTASES
    thickness = np.round(rng.lognormal(np.where(metastatic, 0.9, 1.8), 0.8), 1)
    ulcerated = rng.random(count) < np.where(thickness > 3, 0.65, 0.3)
    step = np.digitize(thickness, [1.0, 2.0, 4.0]) + 1
    stage = np.array([f"T{one}{'B' if sore else 'A'}" for one, sore in zip(step, ulcerated, strict=True)])
    stage[metastatic & (rng.random(count) < 0.1)] = "TX"
    died = rng.random(count) < np.where(metastatic, 0.55, 0.3)
    letters = rng.permutation(36**4)[:count]
    return pl.DataFrame(
        {
            "PATIENT_ID": [f"TCGA-XX-{_code(number)}" for number in letters],
            "SEX": np.where(rng.random(count) < 0.62, "Male", "Female").tolist(),
            "AGE": np.clip(rng.normal(58, 15, count).round(), 18, 90).astype(int),
            "RACE": np.where(rng.random(count) < 0.97, "White", "Asian").tolist(),
            "ETHNICITY": np.where(rng.random(count) < 0.97, "Not Hispanic Or Latino", "Hispanic Or Latino").tolist(),
            "WEIGHT": _gaps(np.clip(rng.normal(81, 18, count).round(), 40, 160), 0.5, rng),
            "PRIOR_DX": np.where(rng.random(count) < 0.05, "Yes", "No").tolist(),
            "PATH_T_STAGE": stage.tolist(),
            "PATH_N_STAGE": np.where(metastatic & (rng.random(count) < 0.6), "N1B", "N0").tolist(),
            "PATH_M_STAGE": np.where(metastatic & (rng.random(count) < 0.08), "M1", "M0").tolist(),
            "OS_STATUS": np.where(died, "1:DECEASED", "0:LIVING").tolist(),
            "OS_MONTHS": np.round(rng.exponential(np.where(metastatic, 45, 30)), 2),
            "BRESLOW_DEPTH": _gaps(thickness, 0.2, rng),
            "CLARK_LEVEL": np.array(["II", "III", "IV", "V"])[np.clip(step - 1, 0, 3)].tolist(),
            "ULCERATION": np.where(ulcerated, "YES", "NO").tolist(),
            "MITOTIC_RATE": _gaps(rng.poisson(2 + thickness).astype(np.float64), 0.6, rng),
            "metastatic": metastatic,
        }
    )


def draw_samples(patients: pl.DataFrame, samples: int, rng: np.random.Generator) -> pl.DataFrame:
    """Specimens: one per patient, of the last few patients two."""
    order = np.concatenate([np.arange(patients.height), np.arange(samples - patients.height)])
    metastatic = patients["metastatic"].to_numpy()[order]
    second = np.arange(samples) >= patients.height
    # A second specimen of a patient is a later metastasis, or the primary tumour beside it.
    metastatic = np.where(second, ~metastatic, metastatic)
    names = patients["PATIENT_ID"].to_numpy()[order]
    site = np.where(metastatic, rng.choice(["Regional Lymph Node", "Distant Metastasis"], samples), "Primary|Trunk")
    return pl.DataFrame(
        {
            "PATIENT_ID": names.tolist(),
            "SAMPLE_ID": [f"{name}-{'06' if met else '01'}" for name, met in zip(names, metastatic, strict=True)],
            "ONCOTREE_CODE": ["SKCM"] * samples,
            "TUMOR_TISSUE_SITE": site.tolist(),
            "ANEUPLOIDY_SCORE": np.clip(rng.normal(np.where(metastatic, 12, 9), 6).round(), 0, 39).astype(int),
            "SAMPLE_TYPE": np.where(metastatic, "Metastasis", "Primary").tolist(),
            "MSI_SCORE_MANTIS": pl.Series(np.where(metastatic, np.nan, rng.normal(0.32, 0.02, samples))).fill_nan(None),
            "TMB_NONSYNONYMOUS": np.round(np.exp(rng.normal(2.3, 1.1, samples)), 2),
            "FRACTION_GENOME_ALTERED": np.round(rng.beta(2, 4, samples), 4),
        }
    )


def draw_hospitals(patients: pl.Series, rng: np.random.Generator) -> pl.Series:
    """Where each sample was taken; a patient's all at one place."""
    names = patients.unique(maintain_order=True)
    drawn = pl.Series(rng.choice(HOSPITALS, len(names), p=[0.5, 0.3, 0.2]))
    return patients.replace_strict(names, drawn).alias("TISSUE_SOURCE_SITE")


def write_study_file(path: Path, table: pl.DataFrame) -> None:
    """A clinical file of a study: comment lines (names, descriptions, types, priorities), then the table."""
    titles = [name.replace("_", " ").title() for name in table.columns]
    kinds = ["NUMBER" if name in _NUMBERS else "STRING" for name in table.columns]
    comments = ["#" + "\t".join(cells) for cells in (titles, titles, kinds, ["1"] * table.width)]
    body = table.write_csv(separator="\t", null_value="")
    path.write_text("\n".join(comments) + "\n" + body, encoding="utf-8")


def _code(number: int) -> str:
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return "".join(digits[number // 36**place % 36] for place in range(4))


def _gaps(values: npt.NDArray[Any], share: float, rng: np.random.Generator) -> pl.Series:
    """The values with some missing."""
    return pl.Series(np.where(rng.random(values.size) < share, np.nan, values)).fill_nan(None)
