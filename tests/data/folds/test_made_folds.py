import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.model_selection import StratifiedGroupKFold

from data import folds as folds_module
from data.errors import DataError
from data.folds import FoldRecipe, Folds, fold_problems, make_folds
from tests.data.folds.shared import Unstratified, check, cohort_of, one_malignant_lesion_of_the_small, random_cohort


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_made_folds_are_whole_and_balanced(count, n_classes):
    cohort = random_cohort(count, n_classes=n_classes)
    folds = make_folds(cohort, FoldRecipe(count=count, seed=1))
    check(folds, cohort, count)
    for code in range(n_classes):
        held = [np.sum(cohort.target[folds.validation_rows(k)] == code) for k in range(count)]
        largest = max(np.sum(cohort.target[cohort.groups == p] == code) for p in set(cohort.groups))
        assert max(held) - min(held) <= 2 * largest


def test_scikit_learn_is_used_as_it_is():
    cohort = random_cohort()
    folds = make_folds(cohort, FoldRecipe(count=4, seed=7))
    splitter = StratifiedGroupKFold(4, shuffle=True, random_state=7)
    for k, (train, held_out) in enumerate(splitter.split(cohort.ids, cohort.target, cohort.groups)):
        np.testing.assert_array_equal(folds.validation_rows(k), held_out)
        np.testing.assert_array_equal(folds.train_rows(k), train)
    assert folds.method == "scikit-learn"


def test_seeds_matter_and_repeat():
    cohort = random_cohort()
    one, again, other = (make_folds(cohort, FoldRecipe(seed=seed)).fold for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.any(one != other)


def test_folds_that_are_not_stratified_are_made_another_way(monkeypatch):
    cohort = one_malignant_lesion_of_the_small()
    folds = Unstratified(4, shuffle=True, random_state=0)
    fold = np.zeros(len(cohort.table), dtype=np.int64)
    for k, (_, held_out) in enumerate(folds.split(cohort.ids, cohort.target, cohort.groups)):
        fold[held_out] = k
    assert "unevenly" in " ".join(fold_problems(fold, cohort, 0.2))  # the stand-in is bad enough to be noticed

    monkeypatch.setattr("sklearn.model_selection.StratifiedGroupKFold", Unstratified)
    made = make_folds(cohort, FoldRecipe(count=4))
    assert made.method == "greedy"
    check(made, cohort, 4)
    assert all(abs(n - 8) <= 1 for n in made.summary()["positives"])
    np.testing.assert_array_equal(made.fold, make_folds(cohort, FoldRecipe(count=4)).fold)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_the_second_way_alone_is_whole_and_balanced(seed, count):
    cohort = random_cohort(seed % 50)
    fold = folds_module._greedy(cohort, count, seed)
    assert fold_problems(fold, cohort, 0.0) == []
    held = np.bincount(fold)
    largest = np.unique(cohort.groups, return_counts=True)[1].max()
    assert np.ptp(held) <= largest


def test_summary_counts():
    cohort = cohort_of(["a", "a", "b", "c", "d"], [0, 1, 0, 1, 0])
    table = pl.DataFrame({"lesion_id": cohort.ids.tolist(), "group": cohort.groups.tolist(), "fold": [0, 0, 0, 1, 1]})
    summary = Folds(table, cohort.target, "file").summary()
    assert summary.rows() == [(0, 3, 2, 1), (1, 2, 2, 1)]


@pytest.mark.parametrize("k", [-1, 5])
def test_a_fold_that_is_not_there(k):
    folds = make_folds(random_cohort(), FoldRecipe())
    with pytest.raises(IndexError, match=f"no fold {k} among 5"):
        folds.train_rows(k)


def test_too_few_patients_with_positives():
    cohort = cohort_of(np.repeat(np.arange(20), 3), [1, 1, 1, 1] + [0] * 56)  # 4 positives, 2 patients
    with pytest.raises(DataError, match=r"malignant has 4 lesions of 2 patients. Use fewer folds \(folds.count\)"):
        make_folds(cohort, FoldRecipe(count=3))
    check(make_folds(cohort, FoldRecipe(count=2)), cohort, 2)


def test_one_patient_or_one_class():
    with pytest.raises(DataError, match="of 1 patients benign has 2 lesions of 1 patients; malignant has 2"):
        make_folds(cohort_of([1] * 4, [0, 1, 0, 1]), FoldRecipe())
    with pytest.raises(DataError, match="malignant has 0 lesions of 0 patients"):
        make_folds(cohort_of(range(10), [0] * 10), FoldRecipe())


def test_one_patient_with_most_positives_is_put_up_with():
    target = np.zeros(60, dtype=int)
    target[:10] = 1  # patient 0 has ten of them, the next four one each
    target[[10, 20, 30, 40]] = 1
    cohort = cohort_of(np.repeat(np.arange(6), 10), target)
    check(make_folds(cohort, FoldRecipe(count=5)), cohort, 5)


@pytest.mark.parametrize(
    "values",
    [{"count": 1}, {"count": 5.0}, {"count": "5"}, {"seed": -1}, {"folds": 5}, {"max_positive_imbalance": -0.1}],
)
def test_recipes_are_strict(values):
    with pytest.raises(ValidationError):
        FoldRecipe(**values)
