"""Brier, log loss and calibration error against scikit-learn and plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as sklearn_log_loss

from data.scores.calibration import brier, calibration_error, log_loss, squared_error_of_rows, surprise_of_rows
from data.scores.ranking import UndefinedScoreError

seeds = st.integers(0, 2**32 - 1)


def binary_sample(seed, n=60, decimals=2):
    rng = np.random.default_rng(seed)
    target = np.append([0, 1], rng.integers(0, 2, n - 2))
    return target, np.round(rng.random(n), decimals), rng.integers(1, 4, n)


def many_sample(seed, n=60, n_classes=4):
    rng = np.random.default_rng(seed)
    target = np.append(np.arange(n_classes), rng.integers(0, n_classes, n - n_classes))
    return target, rng.dirichlet(np.ones(n_classes), n), rng.integers(1, 4, n)


def error_by_loop(stated, observed, bins, binning):
    """Row by row: which bin, then the gap of each bin. Equal mass goes by the middle of each tie."""
    members = [[] for _ in range(bins)]
    for i, p in enumerate(stated):
        place = p if binning == "equal_width" else (np.sum(stated < p) + np.sum(stated == p) / 2) / len(stated)
        members[min(int(place * bins), bins - 1)].append(i)
    return sum(len(m) / len(stated) * abs(np.mean(stated[m]) - np.mean(observed[m])) for m in members if m)


@given(seeds, st.booleans())
def test_brier_and_log_loss_are_scikit_learns(seed, weighted):
    target, probability, weight = binary_sample(seed)
    weight = weight if weighted else None
    assert brier(target, probability, weight=weight) == pytest.approx(
        brier_score_loss(target, probability, sample_weight=weight), abs=1e-12
    )
    assert log_loss(target, probability, weight=weight) == pytest.approx(
        sklearn_log_loss(target, probability, sample_weight=weight), abs=1e-12
    )


@given(seeds, st.booleans())
def test_multiclass_brier_and_log_loss_are_scikit_learns(seed, weighted):
    target, probability, weight = many_sample(seed)
    weight = weight if weighted else None
    assert log_loss(target, probability, weight=weight) == pytest.approx(
        sklearn_log_loss(target, probability, sample_weight=weight), abs=1e-12
    )
    assert brier(target, probability, weight=weight) == pytest.approx(
        brier_score_loss(target, probability, sample_weight=weight, scale_by_half=False), abs=1e-12
    )


@given(seeds, st.integers(1, 20), st.sampled_from(["equal_mass", "equal_width"]), st.sampled_from([1, 2, 16]))
def test_calibration_error_is_the_loop(seed, bins, binning, decimals):
    target, probability, _ = binary_sample(seed, decimals=decimals)
    assert calibration_error(target, probability, bins=bins, binning=binning) == pytest.approx(
        error_by_loop(probability, target, bins, binning), abs=1e-12
    )


@given(seeds, st.sampled_from(["equal_mass", "equal_width"]))
def test_multiclass_calibration_error_is_of_the_class_predicted(seed, binning):
    target, probability, _ = many_sample(seed)
    stated, right = probability.max(axis=1), probability.argmax(axis=1) == target
    assert calibration_error(target, probability, binning=binning) == pytest.approx(
        error_by_loop(stated, right, 15, binning), abs=1e-12
    )


@given(seeds)
def test_whole_weights_are_repeated_rows(seed):
    for target, probability, weight in (binary_sample(seed, decimals=1), many_sample(seed)):
        repeated = np.repeat(target, weight), np.repeat(probability, weight, axis=0)
        for score in (brier, log_loss, calibration_error):
            assert score(target, probability, weight=weight) == pytest.approx(score(*repeated), abs=1e-12)


@given(seeds)
def test_rows_average_to_the_score(seed):
    for target, probability, _ in (binary_sample(seed), many_sample(seed)):
        assert squared_error_of_rows(target, probability).mean() == pytest.approx(brier(target, probability))
        assert surprise_of_rows(target, probability).mean() == pytest.approx(log_loss(target, probability))


def test_equal_mass_holds_as_many_rows_in_each_bin():
    # 990 benign at a stated 0.001 and 10 lesions stated 0.2 too high: equal width sees one bin of each kind.
    stated = np.concatenate([np.linspace(0.0, 0.002, 990), np.full(10, 0.9)])
    target = np.concatenate([np.zeros(990), [1] * 7 + [0] * 3])
    expected = (990 * 0.001 + 10 * 0.2) / 1000
    assert calibration_error(target, stated, binning="equal_width") == pytest.approx(expected)
    # In 100 bins of 10 rows the malignant ones are alone as well, and all benign bins are too high.
    assert calibration_error(target, stated, bins=100) == pytest.approx(expected)


def test_a_certain_mistake_is_dear_but_finite():
    assert log_loss([0, 1], [1.0, 1.0]) == pytest.approx(36.04 / 2, rel=1e-3)


@pytest.mark.parametrize("score", [brier, log_loss, calibration_error])
def test_what_is_no_probability_is_refused(score):
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        score([0, 1], [0.5, 1.2])
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        score([0, 1], [[-0.1, 1.1], [0.5, 0.5]])
    with pytest.raises(ValueError, match=r"row 1 sum to 0\.9"):
        score([0, 1], [[0.5, 0.5], [0.4, 0.5]])
    with pytest.raises(UndefinedScoreError, match="no rows"):
        score([], [])


def test_bins_are_at_least_one():
    with pytest.raises(ValueError, match="bins"):
        calibration_error([0, 1], [0.1, 0.2], bins=0)
