"""How often the null test of the audit cries on protocols that leak nothing: stated and counted.

Each table is one honest experiment on dealt labels of the synthetic cohort, without pictures: a booster on measurements
and patient statistics and a target share by age, cross-validated by patient. Folds are made with and without a look at
the labels.

    python -m benchmarks.audit_false_alarms [--tables 50]
"""

import argparse
from functools import cache

import lightgbm
import numpy as np
import numpy.typing as npt
import polars as pl
from rich.console import Console
from rich.table import Table
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from data.schemas.isic2024 import SCHEMA
from data.synthetic.isic2024.cohort import draw_cohort
from data.synthetic.isic2024.recipe import SyntheticRecipe
from pipeline.audit.deal import deal
from pipeline.audit.null_test import Outcome, judged

LEVELS = (0.01, 0.05, 0.1, 0.2)
SETTINGS = {"objective": "binary", "verbosity": -1, "num_leaves": 7, "min_data_in_leaf": 20, "num_threads": 1}
Floats = npt.NDArray[np.float64]


def main() -> None:
    """Print the shares of alarms."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=50)
    tables = parser.parse_args().tables
    shown = Table("folds", *(f"p <= {level:g}" for level in LEVELS), title=f"alarms in {tables} honest tables")
    for name, splitter in (("by patient and label", StratifiedGroupKFold), ("by patient", GroupKFold)):
        p = np.array([honest_table(splitter, number) for number in range(tables)])
        shown.add_row(name, *(f"{np.mean(p <= level):.1%}" for level in LEVELS))
    Console().print(shown)


@cache
def cohort() -> tuple[pl.DataFrame, npt.NDArray[np.int64], Floats]:
    """The synthetic cohort, its patients as numbers, and its features."""
    table = draw_cohort(SyntheticRecipe(lesions=4000, test_lesions=10))[0].table
    groups = np.unique(table["patient_id"].to_numpy(), return_inverse=True)[1]
    hidden = {column.name for column in SCHEMA if column.train_only}
    names = [name for name in table.columns if table.schema[name].is_float() and name not in hidden]
    return table, groups, measured(table.select(names).to_numpy(), groups)


def honest_table(splitter: type, number: int) -> float:
    """The p of one table."""
    table, groups, features = cohort()
    target = table["target"].to_numpy().astype(np.int64)
    age = table["age_approx"].fill_null(0).to_numpy()
    giver = deal(groups, np.random.default_rng([5, number]))
    label = target[giver]
    fold = np.zeros(len(label), dtype=np.int64)
    booster, share = np.zeros(len(label)), np.zeros(len(label))
    split = splitter(5, shuffle=True, random_state=number).split(features, label, groups)
    for k, (learn, judge) in enumerate(split):
        fold[judge] = k
        data = lightgbm.Dataset(features[learn], label[learn])
        booster[judge] = lightgbm.train({**SETTINGS, "seed": number}, data, 15).predict(features[judge])
        share[judge] = shares(age[learn], label[learn], age[judge])
    columns = {"booster": booster, "share": share, "sum": booster + share}
    outcome = Outcome(np.arange(len(label)), fold, columns)
    return judged([(giver, outcome)], target, groups, seed=number, score="pauc", deals=99, alarm=0.01).p


def measured(values: Floats, groups: npt.NDArray[np.int64]) -> Floats:
    """Measurements, their distances from the patient's mean, and the number of the patient's lesions."""
    values = np.nan_to_num(values)
    sizes = np.bincount(groups)
    means = np.stack([np.bincount(groups, column) / sizes for column in values.T], axis=1)
    return np.column_stack([values, values - means[groups], sizes[groups]])


def shares(known: Floats, label: npt.NDArray[np.int64], asked: Floats) -> Floats:
    """Smoothed share of positives by age."""
    codes, place = np.unique(known, return_inverse=True)
    counts, hits = np.bincount(place), np.bincount(place, label)
    share = (hits + 20 * label.mean()) / (counts + 20)
    at = np.minimum(np.searchsorted(codes, asked), len(codes) - 1)
    return np.where(codes[at] == asked, share[at], label.mean())


if __name__ == "__main__":
    main()
