"""The corrected test against its closed form, the plain t test, and a simulation of the smallest number of repeats."""

from math import sqrt

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from data.scores.repeated import corrected_test, fold_differences, in_words, repeats_needed

DIFFERENCES = [0.004, 0.011, -0.002, 0.007, 0.009, 0.003, 0.012, 0.001, 0.006, 0.008]


def test_variance_is_that_of_nadeau_and_bengio():
    found = corrected_test(DIFFERENCES, folds=5)
    assert found is not None
    mean, s = np.mean(DIFFERENCES), np.std(DIFFERENCES, ddof=1)
    error = sqrt((1 / 10 + 1 / 4) * s**2)
    assert found.mean == pytest.approx(mean)
    assert found.p == pytest.approx(2 * (1 - stats.t.cdf(mean / error, 9)))
    low, high = stats.t.interval(0.95, 9, loc=mean, scale=error)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_without_overlap_it_would_be_the_plain_t_test():
    # With a test set of nothing beside the training set, the correction goes away.
    found = corrected_test(DIFFERENCES, folds=10**9)
    assert found is not None
    assert found.p == pytest.approx(stats.ttest_1samp(DIFFERENCES, 0).pvalue, rel=1e-6)


def test_the_repeats_needed_are_the_first_that_tell_the_gain_from_the_spread():
    mean, s, folds = 0.010, 0.009, 5
    needed = repeats_needed(mean, s, folds)
    assert needed is not None

    def p(repeats: int) -> float:
        count = repeats * folds
        return float(2 * stats.t.sf(mean / (s * sqrt(1 / count + 1 / (folds - 1))), count - 1))

    assert p(needed) < 0.05 <= p(needed - 1)
    # The overlap of training sets never averages out: below 1.96 s sqrt(1/4) no number will do.
    assert repeats_needed(0.0088, 0.009, 5) is None
    assert repeats_needed(0.0, 0.009, 5) is None


def test_words_and_what_cannot_be_tested():
    assert corrected_test([0.1], 5) is None
    assert corrected_test([0.1, float("nan")], 5) is None
    found = corrected_test(DIFFERENCES, 5)
    assert found is not None
    assert found.distinguishable == (found.p < 0.05)
    assert in_words({**found.to_json(), "distinguishable": True, "p": 0.012}) == "yes, p 0.012"
    assert (
        in_words({**found.to_json(), "distinguishable": False, "p": 0.3, "repeats_needed": 7}) == "no, p 0.3; 7 repeats"
    )
    assert in_words(None) == ""
    same = corrected_test([0.0, 0.0, 0.0], 3)
    assert same is not None
    assert not same.distinguishable


def test_differences_are_those_of_each_fold():
    rng = np.random.default_rng(0)
    target, fold = rng.integers(0, 2, 90), np.arange(90) % 3
    target[fold == 2] = 0  # a fold that defines no score is left out
    a, b = rng.random(90), rng.random(90)
    found = list(fold_differences("auc", target, np.arange(90), fold, a, b))
    expected = [
        roc_auc_score(target[fold == k], a[fold == k]) - roc_auc_score(target[fold == k], b[fold == k]) for k in (0, 1)
    ]
    assert found == pytest.approx(expected)
