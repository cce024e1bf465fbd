import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import DataError
from features.target_encoding import fit_shares, inner_folds, out_of_fold_shares


def by_loop(code: int, codes: np.ndarray, positive: np.ndarray, smoothing: float) -> float:
    prior = positive.mean()
    mine = codes == code
    return (positive[mine].sum() + smoothing * prior) / (mine.sum() + smoothing)


def test_shares_equal_a_loop_and_unseen_take_the_prior() -> None:
    rng = np.random.default_rng(0)
    codes, target = rng.integers(0, 4, 200), rng.integers(0, 2, 200)
    shares = fit_shares(codes, target, 6, smoothing=10)
    found = shares.of(np.array([0, 1, 2, 3, 4, 5, -1]))[:, 0]
    expected = [by_loop(code, codes, target, 10) for code in range(6)]
    np.testing.assert_allclose(found[:6], expected)
    np.testing.assert_allclose(found[4:], target.mean())


def test_several_classes_sum_to_one() -> None:
    rng = np.random.default_rng(0)
    codes, target = rng.integers(0, 4, 200), rng.integers(0, 7, 200)
    shares = fit_shares(codes, target, 4, smoothing=10).of(codes)
    assert shares.shape == (200, 7)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_allclose(shares[:, 3], [by_loop(code, codes, target == 3, 10) for code in codes])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 6))
def test_out_of_fold_equals_fitting_on_the_other_folds(seed: int, folds: int) -> None:
    rng = np.random.default_rng(seed)
    codes, target, groups = rng.integers(0, 5, 120), rng.integers(0, 2, 120), rng.integers(0, 20, 120)
    fold = inner_folds(groups, folds, seed)
    found = out_of_fold_shares(codes, target, fold, 5, smoothing=3)
    for k in range(folds):
        others = fit_shares(codes[fold != k], target[fold != k], 5, smoothing=3)
        np.testing.assert_array_equal(found[fold == k], others.of(codes[fold == k]))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000))
def test_folds_keep_patients_together_and_balanced(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = np.repeat(rng.permutation(60), rng.integers(1, 10, 60))
    fold = inner_folds(groups, 5, seed)
    assert all(len(set(fold[groups == g])) == 1 for g in np.unique(groups))
    sizes = np.bincount(fold, minlength=5)
    assert sizes.max() - sizes.min() <= 9
    np.testing.assert_array_equal(fold, inner_folds(groups, 5, seed))


def test_fewer_patients_than_folds() -> None:
    fold = inner_folds(np.array(["a", "a", "b", "c"]), 5, 0)
    assert len(set(fold)) == 3
    with pytest.raises(DataError, match="at least two patients"):
        inner_folds(np.array(["a", "a"]), 5, 0)
