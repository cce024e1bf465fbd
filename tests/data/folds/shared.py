"""What the tests of this folder share."""

import io

import numpy as np
import polars as pl
from sklearn.model_selection import GroupKFold

from data.cohort import Cohort, Task


def cohort_of(group, target, classes=("benign", "malignant")):
    table = pl.DataFrame(
        {
            "isic_id": [f"ISIC_{i:04d}" for i in range(len(group))],
            "patient_id": [f"IP_{g}" for g in group],
            "target": np.asarray(target, dtype=np.int64),
        }
    )
    return Cohort(table, Task("isic_id", "patient_id", "target", classes), labelled=True)


def random_cohort(seed=0, n_patients=80, rate=0.06, n_classes=2, mean_lesions=12):
    """Patients of very different size and risk, lesions in random order."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(n_patients), rng.geometric(1 / mean_lesions, n_patients))
    risk = rng.lognormal(0, 1, n_patients)[group]
    target = (rng.random(len(group)) < rate * risk) * rng.integers(1, n_classes, len(group))
    enough = np.unique(group, return_index=True)[1][: 6 * n_classes]  # each class in at least six patients
    target[enough] = np.arange(len(enough)) % n_classes
    order = rng.permutation(len(group))
    return cohort_of(group[order], target[order], tuple(f"class{c}" for c in range(n_classes)))


def check(folds, cohort, count):
    """What must hold of any folds, by plain loops."""
    assert folds.table.columns == ["lesion_id", "group", "fold"]
    assert folds.table["lesion_id"].to_list() == cohort.ids.tolist()
    assert folds.table["group"].to_list() == cohort.groups.tolist()
    assert folds.fold.dtype == np.int64
    assert folds.count == count
    fold_of = {}
    for patient, k in zip(cohort.groups, folds.fold, strict=True):
        assert fold_of.setdefault(patient, k) == k
    held_out = []
    for k in range(count):
        train, validation = folds.train_rows(k), folds.validation_rows(k)
        assert train.dtype == validation.dtype == np.int64
        np.testing.assert_array_equal(np.sort(np.concatenate([train, validation])), np.arange(len(cohort.table)))
        assert set(cohort.target[validation]) == set(range(len(cohort.task.classes)))
        held_out.extend(validation)
    assert sorted(held_out) == list(range(len(cohort.table)))


class Unstratified:
    """What scikit-learn releases with the defect do when shuffling: patients by chance or by size, not by class."""

    def __init__(self, count, *, shuffle, random_state):
        self.count = count

    def split(self, X, y, groups):
        return GroupKFold(self.count).split(X, y, groups)


def one_malignant_lesion_of_the_small():
    """GroupKFold spreads lesions evenly, and puts nearly all of these melanomas into two of four folds."""
    group = np.repeat(np.arange(40), [60] * 2 + [3] * 38)
    target = np.zeros(len(group), dtype=int)
    target[[np.flatnonzero(group == g)[0] for g in range(2, 34)]] = 1
    return cohort_of(group, target)


SMALL = cohort_of(["a", "a", "b", "b", "c", "c", "d", "d"], [1, 0] * 4)


GOOD = [0, 0, 0, 0, 1, 1, 1, 1]


def write_csv(path, fold, ids=SMALL.ids, header="isic_id,fold"):
    lines = [header, *(f"{lesion},{k}" for lesion, k in zip(ids, fold, strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return path


def parquet_of(table):
    out = io.BytesIO()
    table.write_parquet(out)
    return out.getvalue()
