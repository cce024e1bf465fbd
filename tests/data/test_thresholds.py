"""Thresholds keep what they promise over many draws of patients; sets hold the true class as often as they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from data.errors import DataError
from data.scores.conformal import SetRule, coverage, set_rule
from data.scores.thresholds import kept_threshold, lower_bound, luck, patients_needed, workload
from data.scores.top_k import found_among_top

TARGETS = (0.8, 0.9, 0.95)


def population(rng, patients, lesions=3, spread=1.0):
    """Malignant lesions of patients who differ from each other: scores share a part within a patient."""
    count = rng.integers(1, lesions + 1, patients)
    patient = np.repeat(np.arange(patients), count)
    own = rng.normal(0, spread, patients)[patient] + rng.normal(0, 1, len(patient))
    return own, patient


def sensitivity_of_patients(score, patient, threshold):
    caught = np.bincount(patient, score >= threshold)
    return float(np.mean(caught / np.bincount(patient)))


def by_loop(score, patient, target):
    """The highest malignant score at which conformal risk control accepts what is missed."""
    names = sorted(set(patient.tolist()))
    n = len(names)
    for level in sorted(set(score.tolist()), reverse=True):
        missed = [np.mean(score[patient == name] < level) for name in names]
        if (sum(missed) + 1) / (n + 1) <= 1 - target + 1e-9:
            return level
    return None


@given(st.integers(0, 2**32 - 1), st.sampled_from(TARGETS), st.sampled_from([5, 10**6]))
def test_the_threshold_is_conformal_risk_control(seed, target, levels):
    rng = np.random.default_rng(seed)
    score, patient = population(rng, int(rng.integers(2, 40)))
    score = np.round(score * levels) / levels
    assert kept_threshold(score, patient, target).threshold == by_loop(score, patient, target)


@pytest.mark.parametrize("lesions", [1, 4])
@pytest.mark.parametrize("patients", [30, 120])
def test_over_many_draws_the_target_holds_on_average_and_the_bound_in_95_of_100(patients, lesions):
    """The sensitivity of a threshold is taken on a population so large that it is the truth."""
    rng = np.random.default_rng(7)
    truth, of_truth = population(rng, 60_000, lesions)
    # Every patient weighs the same: the truth is the weighted distribution of scores.
    order = np.argsort(truth)
    weight = (1 / np.bincount(of_truth))[of_truth][order]
    missed = np.append(0.0, np.cumsum(weight) / weight.sum())
    kept, held, draws = {t: [] for t in TARGETS}, dict.fromkeys(TARGETS, 0), 1500
    for _ in range(draws):
        score, patient = population(rng, patients, lesions)
        for target in TARGETS:
            found = kept_threshold(score, patient, target)
            real = 1 - missed[np.searchsorted(truth[order], found.threshold)]
            kept[target].append(real)
            held[target] += real >= found.bound
    for target in TARGETS:
        assert np.mean(kept[target]) >= target - 3 * np.std(kept[target]) / np.sqrt(draws)
        # The bound is exact with one lesion each (95 % up to the luck of the draws), and safe with more.
        assert held[target] / draws >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / draws)
    if lesions == 1 and patients == 120:
        assert held[0.9] / draws <= 0.98


def test_the_bound_of_single_lesions_is_that_of_an_order_statistic():
    for n, target in ((60, 0.9), (259, 0.8), (40, 0.95)):
        misses = int(np.floor((1 - target) * (n + 1) + 1e-9)) - 1
        exact = beta.ppf(0.05, n - misses, misses + 1)
        allowed = ((1 - target) * (n + 1) - 1) / n
        assert lower_bound(n, allowed, single=True) == pytest.approx(exact, abs=1e-9)
        assert lower_bound(n, allowed) < exact


def test_the_inequality_is_one():
    """Shares of any distribution in [0, 1] are no luckier than the inequality allows."""
    rng = np.random.default_rng(3)
    for draw, mean in (
        (lambda size: rng.random(size) < 0.2, 0.2),
        (lambda size: rng.random(size) ** 4, 0.2),
        (lambda size: np.full(size, 0.2), 0.2),
    ):
        sample = np.asarray(draw((20_000, 50)), dtype=np.float64).mean(axis=1)
        for allowed in (0.04, 0.1, 0.14):
            most = luck(50, allowed, mean, single=False)
            assert np.mean(sample <= allowed) <= most + 0.005


def test_too_few_patients_promise_nothing():
    assert [patients_needed(target) for target in TARGETS] == [4, 9, 19]
    score, patient = population(np.random.default_rng(0), 18)
    found = kept_threshold(score, patient, 0.95)
    assert (found.threshold, found.bound, found.patients) == (None, None, 18)
    assert kept_threshold(*population(np.random.default_rng(0), 19), 0.95).threshold is not None
    assert kept_threshold(np.empty(0), np.empty(0), 0.8).threshold is None


def test_workload_counts():
    target = np.array([1, 0, 1, 1, 0, 0])
    score = np.array([0.9, 0.8, 0.2, 0.7, 0.1, 0.7])
    groups = np.array(["a", "a", "a", "b", "b", "c"])
    found = workload(target, score >= 0.7, groups)
    assert found.confusion == ((1, 2), (1, 2))
    assert found.sensitivity == pytest.approx(2 / 3)
    assert found.sensitivity_of_patients == pytest.approx((0.5 + 1) / 2)
    assert found.lesions_per_patient == pytest.approx(4 / 3)
    assert found.nnt == 2.0
    assert found.specificity == pytest.approx(1 / 3)
    assert workload(target, score >= 2.0, groups).nnt is None
    assert found_among_top(target, score, groups, 2) == pytest.approx((0.5 + 1) / 2)


def lesions_of_classes(rng, patients, classes):
    """Patients whose lesions are alike; rare last class; probabilities that lean to the truth."""
    count = rng.integers(1, 12, patients)
    patient = np.repeat(np.arange(patients), count)
    share = np.array([0.8, 0.2]) if classes == 2 else np.array([0.6, 0.3, 0.1])
    target = rng.choice(classes, len(patient), p=share)
    lean = rng.normal(0, 0.7, (patients, classes))[patient] + rng.normal(0, 1, (len(patient), classes))
    logits = lean + 1.5 * np.eye(classes)[target]
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return target, probability if classes > 2 else probability[:, 1], patient


@pytest.mark.parametrize("classes", [2, 3])
def test_sets_cover_every_class_at_its_level(classes):
    rng = np.random.default_rng(5)
    big = lesions_of_classes(rng, 8000, classes)
    covered = []
    for _ in range(150):
        target, probability, patient = lesions_of_classes(rng, 80, classes)
        rule = set_rule(target, probability, patient, 0.85)
        held = rule.apply(big[1])
        shares = []
        for place in range(classes):
            own = big[0] == place
            right = np.bincount(big[2][own], held[own, place])
            all_of = np.bincount(big[2][own])
            shares.append(np.mean(right[all_of > 0] / all_of[all_of > 0]))
        covered.append(shares)
    mean, error = np.mean(covered, axis=0), np.std(covered, axis=0) / np.sqrt(len(covered))
    assert np.all(mean >= 0.85 - 3 * error)
    assert np.all(mean <= 0.92)


def test_sets_say_uncertain_where_two_classes_or_none_are_left():
    rule = SetRule(0.9, (0.4, 0.3))
    score = np.array([0.1, 0.5, 0.9])
    np.testing.assert_array_equal(rule.apply(score), [[True, False], [True, True], [False, True]])
    assert rule.calls(score, ("benign", "malignant")) == ["benign", "uncertain", "malignant"]
    strict = SetRule(0.5, (0.9, 0.9))
    assert strict.calls(np.array([0.5]), ("benign", "malignant")) == ["uncertain"]
    found = coverage(rule.apply(score), np.array([0, 1, 1]))
    assert found.covered == (1.0, 1.0)
    assert found.size == pytest.approx(4 / 3)
    assert found.uncertain == pytest.approx(1 / 3)
    assert SetRule.from_json(rule.to_json()) == rule
    with pytest.raises(DataError, match="not stored prediction sets"):
        SetRule.from_json({"level": 0.9, "thresholds": ["high"]})


def test_a_class_of_too_few_patients_is_never_ruled_out():
    target = np.array([0] * 30 + [1])
    rule = set_rule(target, np.linspace(0, 1, 31), np.arange(31), 0.9)
    assert rule.thresholds[1] is None
    assert rule.apply(np.array([0.0]))[0, 1]
