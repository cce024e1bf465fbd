"""Columns that give away what a lesion belongs to: its fold, or its patient.

Folds are drawn by patient, so a column can know the fold only if something other than chance put it there (folds made
along hospitals or dates, a batch effect, a column computed fold by fold). The patient is the unit of every test here:
a patient's lesions share age, camera and skin, and counting them one by one would find signals everywhere.
"""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.stats import chi2_contingency, kruskal

from data.cohort import Cohort
from pipeline.audit.deal import Ints

ALARM = 0.001
"""Chance that any column of a table is named as one that knows the folds, if none does."""
PATIENT = "_patient"


@dataclass(frozen=True)
class FoldColumn:
    """How well one column tells the folds apart."""

    name: str
    statistic: float
    p: float
    """Corrected for the number of columns."""

    @property
    def knows_the_fold(self) -> bool:
        """True when chance is a poor explanation."""
        return self.p <= ALARM


@dataclass(frozen=True)
class PatientColumn:
    """How well one column tells patients apart."""

    name: str
    singled_out: float
    """Share of the patients whose value no other patient has; 1: a second patient id."""
    between: float
    """Share of the variance that lies between patients (1: the same for all lesions of a patient)."""


def candidates(cohort: Cohort) -> list[str]:
    """Columns that a model might see: not the ids, not the answer, not what follows from it, not constant."""
    hidden = {cohort.task.lesion, cohort.task.group, cohort.task.target, *cohort.forbidden}
    return [name for name in cohort.table.columns if name not in hidden and cohort.table[name].n_unique() > 1]


def fold_columns(cohort: Cohort, fold: Ints) -> list[FoldColumn]:
    """Test every column, and the gaps of every column, against the folds; those that know most first."""
    table = cohort.table.with_columns(pl.Series(PATIENT, cohort.groups.tolist()), pl.Series("_fold", fold))
    found = []
    for name in candidates(cohort):
        number = table.schema[name].is_numeric()
        value = pl.col(name).median() if number else pl.col(name).drop_nulls().mode().sort().first()
        patients = table.group_by(PATIENT, maintain_order=True).agg(
            fold=pl.col("_fold").first(), value=value, gaps=pl.col(name).is_null().mean()
        )
        tests = [(name, "value", number)]
        if patients["gaps"].n_unique() > 1:
            tests.append((f"{name} missing", "gaps", True))
        for title, column, ordered in tests:
            known = patients.drop_nulls(column)
            tested = by_rank(known, column) if ordered else by_category(known, column)
            if tested is not None:
                found.append((title, *tested))
    columns = [FoldColumn(title, statistic, min(1.0, p * len(found))) for title, statistic, p in found]
    return sorted(columns, key=lambda column: (column.p, -column.statistic))


def by_rank(patients: pl.DataFrame, column: str) -> tuple[float, float] | None:
    """Kruskal-Wallis over the folds of one number per patient."""
    parts = [part[column].to_numpy() for part in patients.partition_by("fold")]
    if len(parts) < 2 or patients[column].n_unique() < 2:
        return None
    answer = kruskal(*parts)
    return finite(float(answer.statistic), float(answer.pvalue))


def by_category(patients: pl.DataFrame, column: str) -> tuple[float, float] | None:
    """Chi-square over folds and categories of one category per patient."""
    counts = patients.group_by(column, "fold").len().pivot("fold", index=column, values="len").fill_null(0)
    table = counts.drop(column).to_numpy()
    if min(table.shape) < 2:
        return None
    answer = chi2_contingency(table, correction=False)
    return finite(float(answer.statistic), float(answer.pvalue))


def finite(statistic: float, p: float) -> tuple[float, float] | None:
    """The test's answer, or None where it has none."""
    return (statistic, p) if math.isfinite(statistic) and math.isfinite(p) else None


def patient_columns(cohort: Cohort) -> list[PatientColumn]:
    """How far each column names the patient; those that single out most patients first."""
    table = cohort.table.with_columns(pl.Series(PATIENT, cohort.groups.tolist()))
    n_patients = table[PATIENT].n_unique()
    found = []
    for name in candidates(cohort):
        constant = table.group_by(PATIENT).agg(values=pl.col(name).n_unique(), value=pl.col(name).first())
        own = constant.filter(pl.col("values") == 1)
        alone = own.filter(pl.col("value").is_unique() & pl.col("value").is_not_null()).height
        between = variance_between(table, name) if table.schema[name].is_numeric() else own.height / n_patients
        found.append(PatientColumn(name, alone / n_patients, between))
    return sorted(found, key=lambda column: (-column.singled_out, -column.between, column.name))


def variance_between(table: pl.DataFrame, name: str) -> float:
    """Sum of squares between patients over the total."""
    known = table.select(PATIENT, value=pl.col(name).cast(pl.Float64)).drop_nulls()
    value = known["value"].to_numpy()
    mean = known.select(pl.col("value").mean().over(PATIENT))["value"].to_numpy()
    total = float(np.sum((value - value.mean()) ** 2))
    return float(np.sum((mean - value.mean()) ** 2)) / total if total > 0 else 0.0
