"""Ranking scores against scikit-learn and against the competition's own recipe for pAUC."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn.metrics import auc as trapezoid
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from data.scores.ranking import (
    UndefinedScoreError,
    auc,
    average_precision,
    pauc,
    roc_points,
    specificity_at_sensitivity,
    threshold_at_sensitivity,
)


def published_pauc(target, probability, min_tpr=0.80, weight=None):
    """ISIC 2024's definition: swap the classes, negate the scores, stop the ROC curve at FPR = 1 - min_tpr."""
    flipped, negated = np.abs(np.asarray(target) - 1), -np.asarray(probability, dtype=float)
    limit = abs(1 - min_tpr)
    fpr, tpr, _ = roc_curve(flipped, negated, sample_weight=weight)
    if limit == 1:
        return trapezoid(fpr, tpr)
    stop = np.searchsorted(fpr, limit, "right")
    end = np.interp(limit, [fpr[stop - 1], fpr[stop]], [tpr[stop - 1], tpr[stop]])
    return trapezoid(np.append(fpr[:stop], limit), np.append(tpr[:stop], end))


@st.composite
def samples(draw):
    """Targets with both classes and probabilities, from all tied to all distinct."""
    n = draw(st.integers(2, 60))
    target = np.array(draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    target[:2] = [0, 1]
    levels = draw(st.sampled_from([1, 2, 3, 10, 1000]))
    probability = np.array(draw(st.lists(st.integers(0, levels), min_size=n, max_size=n))) / levels
    return target, probability


@given(samples(), st.sampled_from([0.0, 0.3, 0.5, 0.8, 0.9, 0.99]))
@example((np.array([0, 1]), np.array([0.5, 0.5])), 0.8)
@example((np.array([0, 0, 1]), np.array([0.1, 0.9, 0.5])), 0.8)
def test_pauc_is_the_published_score(sample, min_tpr):
    target, probability = sample
    assert pauc(target, probability, min_tpr) == pytest.approx(
        published_pauc(target, probability, min_tpr), abs=1e-12, rel=0
    )


@given(samples())
def test_pauc_is_scikit_learns_partial_area_without_its_scaling(sample):
    target, probability = sample
    scaled = roc_auc_score(1 - target, -probability, max_fpr=1 - 0.8)
    lowest, highest = 0.5 * (1 - 0.8) ** 2, 1 - 0.8
    unscaled = lowest + (scaled - 0.5) * 2 * (highest - lowest)  # McClish's scaling undone
    assert pauc(target, probability) == pytest.approx(unscaled, abs=1e-12, rel=0)


@pytest.mark.parametrize("decimals", [1, 2, 3, 16])
def test_pauc_on_a_large_imbalanced_sample(decimals):
    rng = np.random.default_rng(decimals)
    target = np.zeros(50_000, dtype=np.int64)
    target[rng.choice(50_000, 49, replace=False)] = 1
    probability = np.round(1 / (1 + np.exp(-rng.normal(1.5 * target))), decimals)
    assert pauc(target, probability) == pytest.approx(published_pauc(target, probability), abs=1e-12, rel=0)
    assert auc(target, probability) == pytest.approx(roc_auc_score(target, probability), abs=1e-12, rel=0)


def test_pauc_of_known_rankings():
    target = np.array([0] * 90 + [1] * 10)
    rising = np.linspace(0, 1, 100)
    assert pauc(target, rising) == pytest.approx(0.2, abs=1e-15)
    assert pauc(target, -rising) == 0.0
    assert pauc(target, np.full(100, 0.3)) == pytest.approx(0.02, abs=1e-15)  # chance: 0.2 ** 2 / 2
    # A single positive above 3 of 4 negatives: its level spans the whole sensitivity axis.
    assert pauc([0, 0, 0, 0, 1], [0.1, 0.2, 0.3, 0.9, 0.5]) == pytest.approx(0.2 * 0.75, abs=1e-15)


@given(samples())
def test_only_the_order_counts(sample):
    target, probability = sample
    stretched = np.exp(3 * probability) - 7
    order = np.random.default_rng(0).permutation(len(target))
    for score in (pauc, auc, average_precision):
        value = score(target, probability)
        assert score(target, stretched) == pytest.approx(value, abs=1e-14)
        assert score(target[order], probability[order]) == pytest.approx(value, abs=1e-14)


@given(samples())
def test_auc_and_average_precision_are_scikit_learns(sample):
    target, probability = sample
    assert auc(target, probability) == pytest.approx(roc_auc_score(target, probability), abs=1e-12)
    assert average_precision(target, probability) == pytest.approx(
        average_precision_score(target, probability), abs=1e-12
    )


@given(samples(), st.integers(0, 2**32 - 1))
def test_whole_weights_are_repeated_rows(sample, seed):
    target, probability = sample
    weight = np.random.default_rng(seed).integers(0, 4, len(target))
    weight[:2] = np.maximum(weight[:2], 1)  # one of each class stays
    t, p = np.repeat(target, weight), np.repeat(probability, weight)
    assert pauc(target, probability, weight=weight) == pytest.approx(published_pauc(t, p), abs=1e-12)
    assert auc(target, probability, weight=weight) == pytest.approx(roc_auc_score(t, p), abs=1e-12)
    assert average_precision(target, probability, weight=weight) == pytest.approx(
        average_precision_score(t, p), abs=1e-12
    )


@given(samples())
def test_roc_points_are_scikit_learns(sample):
    target, probability = sample
    for ours, theirs in zip(
        roc_points(target, probability), roc_curve(target, probability, drop_intermediate=False), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-14)


@given(samples(), st.sampled_from([0.05, 0.5, 0.8, 0.9, 0.95, 1.0]))
def test_threshold_at_sensitivity_is_the_highest_that_reaches_it(sample, wanted):
    target, probability = sample
    threshold = threshold_at_sensitivity(target, probability, wanted)
    positives, negatives = probability[target == 1], probability[target == 0]

    def reaches(t):
        return np.sum(positives >= t) >= wanted * len(positives) - 1e-9

    assert reaches(threshold)
    assert not any(reaches(t) for t in probability if t > threshold)
    assert specificity_at_sensitivity(target, probability, wanted) == pytest.approx(np.mean(negatives < threshold))


def test_a_product_that_rounds_up_does_not_ask_for_one_more_lesion():
    # 0.07 * 100 is 7.000000000000001 in floating point; 7 of 100 positives are 7 %.
    probability = np.concatenate([np.zeros(3), np.arange(1, 101) / 100])
    target = (probability > 0).astype(int)
    assert threshold_at_sensitivity(target, probability, 0.07) == 0.94


@pytest.mark.parametrize("score", [pauc, auc, average_precision, roc_points])
@pytest.mark.parametrize("only", [0, 1])
def test_one_class_alone_has_no_ranking(score, only):
    with pytest.raises(UndefinedScoreError, match="needs both classes"):
        score([only] * 4, [0.1, 0.2, 0.3, 0.4])


def test_no_rows_have_no_ranking():
    with pytest.raises(UndefinedScoreError, match="0 positives in 0 rows"):
        pauc([], [])


def test_weights_of_zero_can_take_a_class_away():
    with pytest.raises(UndefinedScoreError):
        pauc([0, 1, 0], [0.1, 0.2, 0.3], weight=[1, 0, 1])


@pytest.mark.parametrize(
    ("target", "probability", "message"),
    [
        ([0, 1], [0.5, np.nan], "1 of 2 probabilities are missing"),
        ([0, 1], [0.5, np.inf], "1 of 2 probabilities are missing or infinite"),
        ([0, 2], [0.5, 0.5], r"0 or 1, found \[2\]"),
        ([0, np.nan], [0.5, 0.5], "0 or 1, found"),
        ([0, 1, 1], [0.5, 0.5], "one length"),
        ([[0, 1]], [[0.5, 0.5]], "one-dimensional"),
    ],
)
def test_bad_samples_are_named(target, probability, message):
    with pytest.raises(ValueError, match=message):
        pauc(target, probability)


@pytest.mark.parametrize("weight", [[1.0], [1.0, -1.0], [1.0, np.nan]])
def test_bad_weights_are_named(weight):
    with pytest.raises(ValueError, match="weight must"):
        auc([0, 1], [0.1, 0.2], weight=weight)


@pytest.mark.parametrize("min_tpr", [-0.1, 1.0, 80])
def test_min_tpr_is_a_share(min_tpr):
    with pytest.raises(ValueError, match="min_tpr"):
        pauc([0, 1], [0.1, 0.2], min_tpr)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.float32])
def test_targets_of_any_kind_and_float32_probabilities(dtype):
    target, probability = np.array([0, 1, 0, 1]), np.array([0.1, 0.7, 0.7, 0.9], dtype=np.float32)
    assert auc(target.astype(dtype), probability) == pytest.approx(roc_auc_score(target, probability))
