"""Curves, calibration and workload against scikit-learn, SciPy and plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import auc, precision_recall_curve, roc_curve

from data.scores.intervals import drawn_patients
from pipeline.report.calibration import LEAST_IN_BIN, decision_curve, net_benefit, recalibrated, reliability
from pipeline.report.curves import POINTS, distributions, precision_recall, roc, thinned
from pipeline.report.workload import flagged, replicated_per_patient, sensitivity_at_specificities, workload_curve


@pytest.fixture(scope="module")
def cohort() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Target, probability (with ties), patient and fold of 3,000 lesions."""
    rng = np.random.default_rng(5)
    patient = rng.integers(0, 120, 3000)
    target = (rng.random(3000) < 0.06).astype(np.int64)
    logit = rng.normal(size=3000) * 1.2 - 1.5 + 2.2 * target
    probability = np.round(1 / (1 + np.exp(-logit)), 3)
    return target, probability, np.array([f"IP_{one}" for one in patient]), (patient % 4).astype(np.int64)


def distance_to(curve: np.ndarray, shown: np.ndarray) -> float:
    """How far the worst point shown is from its nearest point of the whole curve."""
    return max(float(np.abs(curve - point).max(axis=1).min()) for point in shown)


def test_thinned_roc_is_scikit_learns(cohort):
    target, probability, _, _ = cohort
    figures = roc(target, probability)
    x, y, _ = roc_curve(target, probability, drop_intermediate=False)
    fpr, sensitivity = np.array(figures["false_positive_rate"]), np.array(figures["sensitivity"])
    assert len(fpr) <= POINTS + 2
    assert (fpr[0], sensitivity[0], fpr[-1], sensitivity[-1]) == (0, 0, 1, 1)
    assert auc(fpr, sensitivity) == pytest.approx(auc(x, y), abs=1e-3)
    assert distance_to(np.column_stack([x, y]), np.column_stack([fpr, sensitivity])) < 2e-6


def test_precision_recall_lies_on_scikit_learns_curve(cohort):
    target, probability, _, _ = cohort
    figures = precision_recall(target, probability)
    precision, recall, _ = precision_recall_curve(target, probability)
    shown = np.column_stack([figures["recall"], figures["precision"]])
    assert distance_to(np.column_stack([recall, precision]), shown) < 2e-6
    assert figures["prevalence"] == target.mean()


@given(st.integers(2, 2000))
def test_thinning_keeps_ends_and_order(n):
    x = np.sort(np.random.default_rng(n).random(n))
    kept = thinned(x, x**2)
    assert kept[0] == 0
    assert kept[-1] == n - 1
    assert np.all(np.diff(kept) > 0)
    assert len(kept) <= POINTS + 2


def test_distributions_hold_every_lesion_once(cohort):
    target, probability, _, _ = cohort
    figures = distributions(target, np.append(probability[:-2], [0.0, 1.0]))
    assert sum(figures["benign"]) == pytest.approx(1.0, abs=1e-4)
    assert sum(figures["malignant"]) == pytest.approx(1.0, abs=1e-4)
    assert len(figures["edges_log_odds"]) == len(figures["benign"]) + 1


def test_one_probability_for_all_still_has_a_distribution():
    figures = distributions(np.array([0, 0, 1]), np.full(3, 0.5))
    assert sum(figures["malignant"]) == pytest.approx(1.0)


def test_reliability_bins_part_the_lesions_by_halves(cohort):
    target, probability, _, _ = cohort
    bins = reliability(target, probability)
    assert sum(one["lesions"] for one in bins) == len(target)
    assert sum(one["positives"] for one in bins) == target.sum()
    assert bins[0]["lesions"] == len(target) // 2
    assert min(one["lesions"] for one in bins) >= LEAST_IN_BIN
    means = [one["mean_probability"] for one in bins]
    assert means == sorted(means)


def test_recalibration_undoes_a_shift_of_the_log_odds():
    rng = np.random.default_rng(8)
    truth = 1 / (1 + np.exp(-rng.normal(-2, 1.5, 20_000)))
    target = (rng.random(20_000) < truth).astype(np.int64)
    shifted = 1 / (1 + np.exp(-(np.log(truth / (1 - truth)) + 2.0)))
    again = recalibrated(target, shifted, rng.integers(0, 5, 20_000))
    assert again is not None
    assert np.abs(again - truth).mean() < 0.01
    assert np.abs(shifted - truth).mean() > 0.1


def test_recalibration_never_sees_the_labels_of_its_fold(cohort):
    target, probability, _, fold = cohort
    flipped = np.where(fold == 2, 1 - target, target)
    one, other = recalibrated(target, probability, fold), recalibrated(flipped, probability, fold)
    assert one is not None
    assert other is not None
    assert np.array_equal(one[fold == 2], other[fold == 2])
    assert not np.array_equal(one[fold == 1], other[fold == 1])


def test_recalibration_needs_both_classes_outside_the_fold():
    target, fold = np.array([0, 0, 1, 0]), np.array([0, 0, 1, 1])
    assert recalibrated(target, np.array([0.1, 0.2, 0.3, 0.4]), fold) is None
    figures = decision_curve(target, np.array([0.1, 0.2, 0.3, 0.4]), None)
    assert figures["recalibrated"] is None


def test_net_benefit_by_hand(cohort):
    target, probability, _, _ = cohort
    thresholds = np.array([0.05, 0.2, 0.5])
    expected = []
    for threshold in thresholds:
        true = sum(1 for y, p in zip(target, probability, strict=True) if p >= threshold and y == 1)
        false = sum(1 for y, p in zip(target, probability, strict=True) if p >= threshold and y == 0)
        expected.append(1000 * (true - false * threshold / (1 - threshold)) / len(target))
    assert net_benefit(target, probability, thresholds) == pytest.approx(expected)


def test_flagging_everyone_is_what_net_benefit_says_of_certainty(cohort):
    target, _, _, _ = cohort
    figures = decision_curve(target, np.ones(len(target)), None)
    assert figures["as_given"] == pytest.approx(figures["flag_everyone"], rel=1e-4, abs=1e-4)


def test_flagged_lesions_by_hand(cohort):
    target, probability, groups, _ = cohort
    for row in flagged(target, probability, groups, seed=1):
        called = probability >= row["threshold"]
        assert target[called].sum() >= row["sensitivity"] * target.sum() - 1e-9
        # One score higher would miss too many.
        higher = probability > row["threshold"]
        assert target[higher].sum() < row["sensitivity"] * target.sum()
        counts = [int(called[groups == patient].sum()) for patient in np.unique(groups)]
        assert row["flagged"] == sum(counts)
        assert row["per_patient_mean"]["estimate"] == pytest.approx(np.mean(counts))
        assert row["per_patient_median"] == np.median(counts)
        assert row["patients_with_none"] == counts.count(0)
        assert row["per_patient_mean"]["low"] <= row["per_patient_mean"]["estimate"] <= row["per_patient_mean"]["high"]


def test_replicates_of_the_workload_are_those_of_copied_patients(cohort):
    target, probability, groups, _ = cohort
    names, patient = np.unique(groups, return_inverse=True)
    fast = replicated_per_patient(target, probability, patient.astype(np.int64), 0.9, seed=3)
    drawn = next(drawn_patients(len(names), 50, 3))
    for replicate in range(5):
        rows = np.concatenate([np.flatnonzero(patient == one) for one in drawn[replicate]])
        y, p = target[rows], probability[rows]
        threshold = max(t for t in np.unique(p) if y[p >= t].sum() >= 0.9 * y.sum() - 1e-9)
        assert fast[replicate] == pytest.approx((p >= threshold).sum() / len(names))


def test_sensitivity_at_specificity_by_hand(cohort):
    target, probability, _, _ = cohort
    thresholds = [*np.unique(probability), 2.0]
    for row in sensitivity_at_specificities(target, probability):
        allowed = [t for t in thresholds if (probability[target == 0] < t).mean() >= row["specificity"] - 1e-12]
        best = max((probability[target == 1] >= t).mean() for t in allowed)
        assert row["sensitivity"] == pytest.approx(best)


def test_workload_curve_rises_to_every_lesion_that_scores_as_high_as_the_lowest_malignant(cohort):
    target, probability, groups, _ = cohort
    figures = workload_curve(target, probability, groups)
    counts = np.array(figures["flagged_per_patient"])
    assert np.all(np.diff(counts) >= 0)
    everyone = (probability >= probability[target == 1].min()).sum() / len(np.unique(groups))
    assert counts[-1] == pytest.approx(everyone, rel=1e-5)
