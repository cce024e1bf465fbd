"""How the test table differs from the training table, column by column, and which differences a model could use.

Kolmogorov-Smirnov is taken over patients (one median each), because lesions of one patient are alike; the population
stability index over lesions, because that is what a model sees. A booster that is asked which table a lesion is from
says which columns give the difference away; it is scored on patients it did not train on.
"""

import math
from dataclasses import dataclass

import lightgbm
import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.stats import ks_2samp
from sklearn.model_selection import StratifiedGroupKFold

from data.cohort import Cohort
from data.scores.scores import auc
from pipeline.audit.giveaways import PATIENT, candidates

BINS = 10
LARGE = 0.25
"""Population stability index from which a shift counts as large; by custom 0.1 is moderate."""
MOST_LESIONS = 20_000
FLOOR = 1e-4
"""Smallest share of a bin: an empty one would make the index infinite."""


@dataclass(frozen=True)
class ColumnDrift:
    """One column in both tables."""

    name: str
    stability: float
    """Population stability index; missing is a bin of its own."""
    ks: float | None
    """Kolmogorov-Smirnov distance of the patients' medians; None for categories."""
    p: float | None
    missing_train: float
    missing_test: float
    unseen: int
    """Categories that the training table does not have."""
    used: float
    """Share of the booster's gain: how much a model that tells the tables apart leans on the column."""


@dataclass(frozen=True)
class Drift:
    """All columns, those that a model could use most first, and how well the tables can be told apart."""

    columns: tuple[ColumnDrift, ...]
    auc: float
    """Of new patients' lesions; 0.5: the tables cannot be told apart."""


def drift(train: Cohort, test: Cohort, seed: int = 0) -> Drift:
    """Compare the columns that both tables have."""
    names = [name for name in candidates(train) if name in test.table.columns]
    told_apart, gain = adversary(train, test, names, seed)
    columns = [column_drift(train, test, name, gain[name]) for name in names]
    ordered = sorted(columns, key=lambda column: (-column.used * min(column.stability, 1.0), -column.stability))
    return Drift(tuple(ordered), told_apart)


def column_drift(train: Cohort, test: Cohort, name: str, used: float) -> ColumnDrift:
    """One column."""
    one, other = train.table[name], test.table[name]
    number = one.dtype.is_numeric()
    left, right = binned_number(one, other) if number else binned_category(one, other)
    ks = p = None
    if number:
        medians = [patient_medians(cohort, name) for cohort in (train, test)]
        if all(len(part) for part in medians):
            answer = ks_2samp(*medians)
            ks, p = float(answer.statistic), float(answer.pvalue)
    unseen = 0 if number else len(set(other.drop_nulls().unique()) - set(one.drop_nulls().unique()))
    return ColumnDrift(
        name=name,
        stability=stability_index(left, right),
        ks=ks,
        p=p,
        missing_train=one.null_count() / len(one),
        missing_test=other.null_count() / len(other),
        unseen=unseen,
        used=used,
    )


def stability_index(one: npt.ArrayLike, other: npt.ArrayLike) -> float:
    """Sum over bins of (p - q) log(p / q), from counts by bin."""
    left, right = (np.maximum(np.asarray(c, dtype=np.float64) / np.sum(c), FLOOR) for c in (one, other))
    return float(np.sum((left - right) * np.log(left / right)))


def binned_number(one: pl.Series, other: pl.Series) -> tuple[list[int], list[int]]:
    """Counts by tenths of the training values, with the missing ones last."""
    known = one.drop_nulls().cast(pl.Float64).to_numpy()
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.empty(0)
    counts = []
    for column in (one, other):
        value = column.drop_nulls().cast(pl.Float64).to_numpy()
        place = np.searchsorted(edges, value, side="left")
        counts.append([*np.bincount(place, minlength=len(edges) + 1).tolist(), column.null_count()])
    return counts[0], counts[1]


def binned_category(one: pl.Series, other: pl.Series) -> tuple[list[int], list[int]]:
    """Counts by category of either table, with the missing ones last."""
    names = sorted({*one.drop_nulls().unique(), *other.drop_nulls().unique()})
    counts = [[int((column == name).sum()) for name in names] + [column.null_count()] for column in (one, other)]
    return counts[0], counts[1]


def patient_medians(cohort: Cohort, name: str) -> npt.NDArray[np.float64]:
    """One number per patient that has any."""
    table = cohort.table.select(pl.Series(PATIENT, cohort.groups.tolist()), pl.col(name).cast(pl.Float64))
    return table.group_by(PATIENT).agg(pl.col(name).median())[name].drop_nulls().to_numpy()


def adversary(train: Cohort, test: Cohort, names: list[str], seed: int) -> tuple[float, dict[str, float]]:
    """AUC of a booster that tells test lesions from training lesions of new patients, and its gain by column."""
    rng = np.random.default_rng(seed)
    values, source, patients = [], [], []
    for part, cohort in enumerate((train, test)):
        rows = np.sort(rng.permutation(len(cohort.ids))[:MOST_LESIONS])
        values.append(cohort.table[rows].select(names))
        source.append(np.full(len(rows), part))
        patients.append(cohort.groups[rows])
    table = pl.concat(values, how="vertical_relaxed")
    codes = table.select(
        pl.col(n).cast(pl.Float64) if table.schema[n].is_numeric() else pl.col(n).rank("dense").cast(pl.Float64)
        for n in names
    ).to_numpy()
    label, group = np.concatenate(source), np.concatenate(patients)
    said = np.zeros(len(label))
    gain = np.zeros(len(names))
    settings = {"objective": "binary", "verbosity": -1, "num_leaves": 15, "seed": seed, "deterministic": True}
    for learn, judge in StratifiedGroupKFold(3, shuffle=True, random_state=seed).split(codes, label, group):
        booster = lightgbm.train(settings, lightgbm.Dataset(codes[learn], label[learn]), num_boost_round=40)
        said[judge] = booster.predict(codes[judge])
        gain += booster.feature_importance("gain")
    share = gain / gain.sum() if gain.sum() > 0 else gain
    told_apart = auc(label, said)
    return (told_apart if math.isfinite(told_apart) else 0.5), dict(zip(names, share.tolist(), strict=True))
