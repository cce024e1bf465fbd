"""Resampling of indices against imbalanced-learn on whole arrays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imblearn.over_sampling import RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler

from data.errors import RecipeError, TrainingError
from tabular.recipe import ResampleRecipe
from tabular.training_data import class_weights, resample


def labels(n_positive: int, n_negative: int, seed: int = 0) -> np.ndarray:
    target = np.zeros(n_positive + n_negative, dtype=np.int64)
    target[:n_positive] = 1
    return np.random.default_rng(seed).permutation(target)


def counts(target, rows):
    return np.bincount(target[rows], minlength=2).tolist()


def test_over_then_under_reaches_the_ratios_of_imblearn_on_full_arrays():
    target = labels(4, 8000)
    recipe = ResampleRecipe(over_ratio=0.003, under_ratio=0.01)
    (rows,) = resample(target, np.arange(len(target)), recipe, seed=1).bags
    features = np.random.default_rng(0).normal(size=(len(target), 3))
    over, over_target = RandomOverSampler(sampling_strategy=0.003, random_state=0).fit_resample(features, target)
    _, expected = RandomUnderSampler(sampling_strategy=0.01, random_state=0).fit_resample(over, over_target)
    assert counts(target, rows) == np.bincount(expected).tolist() == [2400, 24]
    negatives = rows[target[rows] == 0]
    assert len(np.unique(negatives)) == len(negatives), "undersampling draws without replacement"
    assert set(rows[target[rows] == 1]) == set(np.flatnonzero(target == 1)), "oversampling loses no positive"


@given(
    seed=st.integers(0, 2**31 - 1), method=st.sampled_from(["over_then_under", "none", "class_weights", "under_bags"])
)
def test_only_given_rows_come_out(seed, method):
    target = labels(10, 490)
    given_rows = np.flatnonzero(np.random.default_rng(seed).random(500) < 0.7)
    given_rows = np.union1d(given_rows, [np.argmax(target), np.argmin(target)])
    recipe = ResampleRecipe(method=method, over_ratio=0.05, under_ratio=0.1, bags=2)
    for bag in resample(target, given_rows, recipe, seed).bags:
        assert np.isin(bag, given_rows).all()


def test_labels_of_other_rows_do_not_matter():
    target = labels(30, 970)
    rows = np.arange(0, 1000, 2)
    recipe = ResampleRecipe(over_ratio=0.1, under_ratio=0.2)
    changed = target.copy()
    changed[1::2] = 1 - changed[1::2]
    np.testing.assert_array_equal(resample(target, rows, recipe, 3).bags[0], resample(changed, rows, recipe, 3).bags[0])


def test_ratios_that_the_data_exceed_are_skipped_and_said():
    target = labels(50, 950)
    resampled = resample(target, np.arange(1000), ResampleRecipe(), seed=0)
    np.testing.assert_array_equal(resampled.bags[0], np.arange(1000))
    assert [note.split(":")[0] for note in resampled.notes] == [
        "not oversampled to 0.003 positives per negative",
        "not undersampled to 0.01 positives per negative",
    ]


def test_only_the_needed_step_is_taken():
    target = labels(5, 995)
    resampled = resample(target, np.arange(1000), ResampleRecipe(), seed=0)
    assert counts(target, resampled.bags[0]) == [500, 5]
    assert len(resampled.notes) == 1


def test_bags_hold_all_positives_and_different_negatives():
    target = labels(10, 5000)
    bags = resample(target, np.arange(len(target)), ResampleRecipe(method="under_bags", bags=3), seed=0).bags
    assert [counts(target, bag) for bag in bags] == [[1000, 10]] * 3
    assert len({tuple(np.sort(bag)) for bag in bags}) == 3
    again = resample(target, np.arange(len(target)), ResampleRecipe(method="under_bags", bags=3), seed=0).bags
    for first, second in zip(bags, again, strict=True):
        np.testing.assert_array_equal(first, second)


def test_class_weights_balance_and_average_one():
    label = np.array([0, 0, 0, 0, 0, 0, 1, 2, 2])
    weights = class_weights(label, 4)
    np.testing.assert_allclose([weights[label == c].sum() for c in range(3)], 3.0)
    np.testing.assert_allclose(weights.mean(), 1.0)


def test_one_class_cannot_be_learned():
    with pytest.raises(TrainingError, match="5 training rows hold a single class"):
        resample(np.array([0] * 5 + [1]), np.arange(5), ResampleRecipe(), seed=0)


def test_ratios_of_many_classes_are_refused():
    target = np.array([0, 1, 2] * 5)
    with pytest.raises(RecipeError, match="the task has 3; use 'none' or 'class_weights'"):
        resample(target, np.arange(15), ResampleRecipe(), seed=0)
    assert len(resample(target, np.arange(15), ResampleRecipe(method="class_weights"), seed=0).bags[0]) == 15
