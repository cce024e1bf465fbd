"""Bootstrap intervals against explicit resampling of the rows of the same patients."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.scores import replicates
from data.scores.calibration import calibration_error, gaps_of_rows
from data.scores.intervals import (
    block_count,
    bootstrap,
    drawn_patients,
    interval_of,
    interval_of_calibration_error,
    paired_bootstrap,
    replicate_scores,
    times_drawn,
)
from data.scores.ranking import UndefinedScoreError, pauc
from data.scores.scores import SCORES


def sample_of(seed, n_patients=25, rate=0.15, decimals=1):
    """Patients with very different numbers of lesions, positives in few of them, many tied probabilities."""
    rng = np.random.default_rng(seed)
    group = np.repeat([f"IP_{i}" for i in range(n_patients)], rng.geometric(0.15, n_patients))
    target = (rng.random(len(group)) < rate).astype(np.int64)
    target[:2] = [0, 1]
    probability = np.clip(np.round(rng.normal(0.4 + 0.2 * target, 0.2), decimals), 0, 1)
    order = rng.permutation(len(group))
    return target[order], probability[order], group[order]


def many_classes(seed, n_patients=25, n_classes=3):
    target, _, group = sample_of(seed, n_patients)
    rng = np.random.default_rng(seed)
    target = np.append(np.arange(n_classes), rng.integers(0, n_classes, len(target) - n_classes))
    return target, rng.dirichlet(np.ones(n_classes), len(target)), group


def scores_by_resampling(target, probability, group, score, n_replicates, seed):
    """Draw patients, gather all their rows as often as they were drawn, score the gathered table."""
    names = np.unique(group)
    rows_of = [np.flatnonzero(group == name) for name in names]
    scores = []
    for block in drawn_patients(len(names), n_replicates, seed):
        for drawn in block:
            rows = np.concatenate([rows_of[patient] for patient in drawn])
            try:
                scores.append(SCORES[score](target[rows], probability[rows]))
            except UndefinedScoreError:
                scores.append(np.nan)
    return np.array(scores)


@pytest.mark.parametrize("score", SCORES)
@settings(max_examples=5)
@given(seed=st.integers(0, 2**32 - 1))
def test_replicates_are_those_of_resampled_rows(score, seed):
    target, probability, group = sample_of(seed)
    ours = replicate_scores(target, probability, group, score=score, replicates=60, seed=seed)
    theirs = scores_by_resampling(target, probability, group, score, 60, seed)
    np.testing.assert_allclose(ours, theirs, atol=1e-12, rtol=0)


@pytest.mark.parametrize("score", [name for name, score in SCORES.items() if score.multiclass])
def test_replicates_of_many_classes_are_those_of_resampled_rows(score):
    target, probability, group = many_classes(3)
    ours = replicate_scores(target, probability, group, score=score, replicates=60, seed=5)
    np.testing.assert_allclose(ours, scores_by_resampling(target, probability, group, score, 60, 5), atol=1e-12, rtol=0)


@pytest.mark.parametrize("score", ["pauc", "auc", "average_precision"])
@pytest.mark.parametrize("decimals", [1, 16])
def test_the_way_without_a_product_gives_the_same(score, decimals, monkeypatch):
    target, probability, group = sample_of(8, decimals=decimals)
    by_product = replicate_scores(target, probability, group, score=score, replicates=80)
    monkeypatch.setattr(replicates, "PRODUCT_CELLS", 0)
    np.testing.assert_array_equal(by_product, replicate_scores(target, probability, group, score=score, replicates=80))


def test_replicates_without_positives_are_counted_and_left_out():
    group = np.repeat(np.arange(6), 4)
    target = np.zeros(24, dtype=int)
    target[:2] = 1  # all positives in one of six patients: (5/6)^6 = 33 % of the draws miss that patient
    probability = np.random.default_rng(0).random(24)
    scores = scores_by_resampling(target, probability, group, "pauc", 300, 4)
    interval = bootstrap(target, probability, group, replicates=300, seed=4)
    assert interval.n_invalid == np.isnan(scores).sum()
    assert 0.25 < interval.n_invalid / 300 < 0.42
    assert (interval.low, interval.high) == pytest.approx(np.nanquantile(scores, [0.025, 0.975]), abs=1e-12)
    assert interval.estimate == pauc(target, probability)


def test_replicates_without_negatives_are_counted_too():
    group, target = np.array([0, 0, 1, 1]), np.array([1, 1, 0, 1])
    interval = bootstrap(target, np.array([0.4, 0.6, 0.5, 0.7]), group, score="auc", replicates=200)
    assert 0.15 < interval.n_invalid / 200 < 0.35  # patient 0 drawn twice: 1 in 4


def test_the_order_of_rows_and_the_names_order_do_not_matter():
    target, probability, group = sample_of(1)
    order = np.random.default_rng(0).permutation(len(target))
    first = replicate_scores(target, probability, group)
    np.testing.assert_array_equal(first, replicate_scores(target[order], probability[order], group[order]))


def test_more_replicates_extend_the_fewer():
    target, probability, group = sample_of(1)
    many = replicate_scores(target, probability, group, replicates=137, seed=3)
    np.testing.assert_array_equal(many[:61], replicate_scores(target, probability, group, replicates=61, seed=3))
    assert not np.array_equal(many, replicate_scores(target, probability, group, replicates=137, seed=4))


def test_paired_difference_is_of_the_same_patients():
    target, a, group = sample_of(2, decimals=16)
    b = np.clip(a + np.random.default_rng(0).normal(0, 0.1, len(a)), 0, 1)
    of_a = scores_by_resampling(target, a, group, "pauc", 200, 9)
    of_b = scores_by_resampling(target, b, group, "pauc", 200, 9)
    interval = paired_bootstrap(target, a, b, group, replicates=200, seed=9)
    assert (interval.low, interval.high) == pytest.approx(np.nanquantile(of_a - of_b, [0.025, 0.975]), abs=1e-12)
    assert interval.estimate == pytest.approx(pauc(target, a) - pauc(target, b), abs=1e-15)
    opposite = paired_bootstrap(target, b, a, group, replicates=200, seed=9)
    assert (opposite.low, opposite.high) == pytest.approx((-interval.high, -interval.low), abs=1e-15)


def test_a_model_does_not_differ_from_itself():
    target, probability, group = sample_of(2)
    interval = paired_bootstrap(target, probability, probability, group, replicates=50)
    assert (interval.low, interval.estimate, interval.high) == (0.0, 0.0, 0.0)


def test_pairing_is_tighter_than_two_intervals():
    target, a, group = sample_of(5, n_patients=120, decimals=16)
    b = np.clip(a + np.random.default_rng(0).normal(0, 0.02, len(a)), 0, 1)
    paired = paired_bootstrap(target, a, b, group)
    alone = bootstrap(target, a, group)
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)


def test_interval_is_wider_when_lesions_of_a_patient_are_alike():
    """Ten copies of each lesion are no more information: the interval over patients stays, one over rows shrinks."""
    target, probability, _ = sample_of(6, n_patients=60, decimals=16)
    patient = np.arange(len(target))
    once = bootstrap(target, probability, patient, score="auc")
    copied = bootstrap(np.repeat(target, 10), np.repeat(probability, 10), np.repeat(patient, 10), score="auc")
    as_rows = bootstrap(np.repeat(target, 10), np.repeat(probability, 10), np.arange(10 * len(target)), score="auc")
    assert copied.high - copied.low == pytest.approx(once.high - once.low, abs=1e-12)
    assert as_rows.high - as_rows.low < 0.5 * (once.high - once.low)


def test_coverage_of_a_known_mean():
    """About 95 % of the intervals hold the true Brier score of a patient-level model (here 0.25 by construction)."""
    rng = np.random.default_rng(0)
    held = 0
    for trial in range(200):
        size = rng.integers(1, 8, 60)
        squared = rng.choice([0.1, 0.4], 60)  # every lesion of a patient has the same loss; its mean is 0.25
        probability = np.repeat(np.sqrt(squared), size)
        interval = bootstrap(
            np.zeros(size.sum()), probability, np.repeat(np.arange(60), size), score="brier", replicates=200, seed=trial
        )
        held += interval.low <= 0.25 <= interval.high
    assert 0.89 <= held / 200 <= 0.99


def test_times_drawn_counts():
    drawn = np.array([[0, 0, 2], [1, 1, 1]])
    np.testing.assert_array_equal(times_drawn(drawn), [[2, 0, 1], [0, 3, 0]])


def test_no_two_blocks_draw_the_same_patients():
    first, second = drawn_patients(40, 100, 0)
    assert not np.array_equal(first, second)
    assert len(np.unique(np.concatenate([first, second]), axis=0)) == 100


@pytest.mark.parametrize("cut", [1, 3, 7])
def test_blocks_made_apart_are_the_blocks_made_together(cut):
    target, probability, group = sample_of(3)
    whole = replicate_scores(target, probability, group, replicates=470, seed=5)
    count = block_count(len(np.unique(group)), 470)
    parts = [
        replicate_scores(target, probability, group, replicates=470, seed=5, blocks=range(k, min(k + cut, count)))
        for k in range(0, count, cut)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert len(whole) == 470


def test_blocks_stay_small_for_many_groups():
    assert [len(block) for block in drawn_patients(400_000, 20, 0)] == [12, 8]
    assert [len(block) for block in drawn_patients(1042, 120, 0)] == [50, 50, 20]


def test_the_calibration_error_keeps_its_bins_in_every_draw():
    target, probability, group = sample_of(3, decimals=3)
    found = interval_of_calibration_error(target, probability, group, replicates=20, seed=4)
    assert found.estimate == pytest.approx(calibration_error(target, probability))
    gap, bin_of, _ = gaps_of_rows(target, probability)
    names = np.unique(group)
    by_hand = []
    for draw in next(drawn_patients(len(names), 20, 4)):
        rows = np.concatenate([np.flatnonzero(group == names[one]) for one in draw])
        by_hand.append(sum(abs(gap[rows][bin_of[rows] == one].sum()) for one in range(15)) / len(rows))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(by_hand, [0.025, 0.975])))


def test_confidence_and_text():
    scores = np.append(np.arange(101.0), np.nan)
    interval = interval_of(scores, 50.0, confidence=0.8)
    assert (interval.low, interval.high) == pytest.approx((10.0, 90.0))
    assert (interval.replicates, interval.n_invalid, interval.confidence) == (102, 1, 0.8)
    assert str(interval) == "50.0000 (80 % 10.0000 to 90.0000)"


def test_mistakes_are_named():
    target, probability, group = sample_of(0)
    with pytest.raises(ValueError, match="no score 'pauk'; there are pauc, auc"):
        bootstrap(target, probability, group, score="pauk")
    with pytest.raises(ValueError, match=f"3 groups for {len(target)} rows"):
        bootstrap(target, probability, group[:3])
    with pytest.raises(ValueError, match="replicates"):
        bootstrap(target, probability, group, replicates=0)
    with pytest.raises(ValueError, match="confidence"):
        bootstrap(target, probability, group, replicates=10, confidence=95)
    with pytest.raises(ValueError, match="missing"):
        bootstrap(target, np.where(target == 1, np.nan, probability), group)
    with pytest.raises(UndefinedScoreError, match="both classes"):
        bootstrap(np.zeros(len(target)), probability, group)
    with pytest.raises(ValueError, match="two classes only"):
        bootstrap(*many_classes(0), score="pauc")
    with pytest.raises(UndefinedScoreError, match="in all 3 replicates"):
        interval_of(np.full(3, np.nan), 0.1)
