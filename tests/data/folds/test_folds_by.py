"""Folds by a column: patients whole, each value with enough positives alone, the others together."""

import numpy as np
import polars as pl
import pytest

from data.errors import DataError
from data.folds import FoldRecipe, Folds, make_folds
from data.folds_by import divide
from tests.data.folds.shared import check, random_cohort


def with_column(values):
    """A cohort whose patients have a value each, but for one who has two."""
    cohort = random_cohort(seed=5, n_patients=90)
    patients = np.unique(cohort.groups)
    own = dict(zip(patients, np.asarray(values)[np.arange(len(patients)) % len(values)], strict=True))
    column = [own[patient] for patient in cohort.groups]
    column[int(np.flatnonzero(cohort.groups == max(patients, key=lambda p: (cohort.groups == p).sum()))[0])] = "d"
    return type(cohort)(cohort.table.with_columns(pl.Series("clinic", column)), cohort.task, True), own


def test_every_value_with_enough_positives_is_a_fold_of_whole_patients():
    cohort, own = with_column(["a", "a", "b", "b", "c", "c", "d"])
    found = divide(cohort, "clinic", least_positives=1)
    assert sorted(found.names) == ["a", "b", "c", "d"]
    for name, fold in zip(found.names, range(4), strict=True):
        patients = {patient for patient, value in own.items() if value == name}
        assert set(cohort.groups[found.fold == fold]) == patients
    positives = [int(cohort.target[found.fold == fold].sum()) for fold in range(4)]
    assert positives == sorted(positives, reverse=True)
    check(make_folds(cohort, FoldRecipe(by="clinic", least_positives=1)), cohort, 4)


def test_values_with_too_few_positives_are_held_out_together():
    cohort, _ = with_column(["a"] * 6 + ["b"] * 6 + ["c", "d"])
    smallest = min(int(cohort.target[(cohort.table["clinic"] == name).to_numpy()].sum()) for name in "ab")
    found = divide(cohort, "clinic", least_positives=smallest)
    # What c and d hold is too little for a fold, so they go with the smaller of the two others.
    assert found.values[0] in (("a",), ("b",))
    assert found.names[1] == "3 others"
    assert divide(cohort, "clinic", 1, most_folds=3).names[2] == "2 others"


def test_what_cannot_be_divided_is_refused():
    cohort, _ = with_column(["a", "b"])
    for wanted, message in (
        (FoldRecipe(by="hospital"), "no such column"),
        (FoldRecipe(by="clinic", least_positives=10_000), "lower folds.least_positives"),
    ):
        with pytest.raises(DataError, match=message):
            make_folds(cohort, wanted)
    with pytest.raises(ValueError, match="leave one out"):
        FoldRecipe(by="clinic", file="folds.csv")


def test_folds_by_a_column_are_read_back_and_count_in_the_fingerprint_only_when_used(tmp_path):
    cohort, _ = with_column(["a", "b", "c"])
    made = make_folds(cohort, FoldRecipe(by="clinic", least_positives=1))
    made.write(tmp_path / "folds.parquet")
    read = Folds.read(tmp_path / "folds.parquet", cohort)
    assert read.method == "column"
    np.testing.assert_array_equal(read.fold, made.fold)
    assert "by" not in FoldRecipe(count=5).deciding
    assert FoldRecipe(by="clinic").deciding["least_positives"] == 10
