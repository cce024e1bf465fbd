"""Calibrators against scikit-learn, cross-fitting, the choice, and curves that never fall."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from data.errors import DataError
from data.files import read_json, write_json
from data.scores.calibrate import (
    METHODS,
    believed,
    calibrate,
    cross_fitted,
    fit_beta,
    fit_isotonic,
    fit_platt,
    fit_prior,
    fit_steps,
    fit_temperature,
)
from data.scores.calibration import calibration_line, log_loss
from data.scores.calibrators import Calibrator, LogOddsCurve, log_odds, logarithms
from data.scores.logistic import Prior, fit_logistic
from data.scores.ranking import pauc


def lesions(seed=0, count=3000, share=0.05, shift=2.0, slope=1.5):
    """Answers drawn from a truth, and scores whose log-odds are too high and too wide."""
    rng = np.random.default_rng(seed)
    truth = np.clip(rng.normal(np.log(share), 1.5, count), -12, 4)
    target = (rng.random(count) < 1 / (1 + np.exp(-truth))).astype(np.int64)
    target[:2] = [0, 1]
    score = 1 / (1 + np.exp(-(shift + slope * truth)))
    return target, score, rng.integers(0, 5, count)


class LogOdds:
    """A fitted classifier of scikit-learn's kind whose decision is the log-odds of its one feature."""

    _estimator_type = "classifier"
    classes_ = np.array([0, 1])

    def fit(self, x, y):
        return self

    def decision_function(self, x):
        return log_odds(x[:, 0])

    def predict(self, x):
        return (x[:, 0] >= 0.5).astype(int)

    def __sklearn_tags__(self):
        return LogisticRegression().__sklearn_tags__()

    def __sklearn_is_fitted__(self):
        return True


def test_platt_is_scikit_learns_sigmoid():
    target, score, _ = lesions()
    theirs = CalibratedClassifierCV(FrozenEstimator(LogOdds()), method="sigmoid").fit(score[:, None], target)
    ours = fit_platt(target, score)
    np.testing.assert_allclose(ours.apply(score), theirs.predict_proba(score[:, None])[:, 1], rtol=2e-3, atol=1e-6)


def test_beta_is_scikit_learns_logistic_regression_on_both_logarithms():
    target, score, _ = lesions()
    up, down = logarithms(score)
    features = np.column_stack([up, -down])
    answers = believed(target)
    theirs = LogisticRegression(C=1e12, tol=1e-12, max_iter=100_000).fit(
        np.vstack([features, features]),
        np.repeat([1, 0], len(target)),
        sample_weight=np.concatenate([answers, 1 - answers]),
    )
    np.testing.assert_allclose(fit_beta(target, score).apply(score), theirs.predict_proba(features)[:, 1], rtol=1e-4)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 20, 10**6]), st.sampled_from([0.02, 0.3, 0.9]))
def test_isotonic_is_scikit_learns(seed, levels, share):
    rng = np.random.default_rng(seed)
    score = rng.integers(0, levels, 120) / levels
    target = (rng.random(120) < share * (0.5 + score)).astype(np.float64)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(score, target)
    asked = np.linspace(-0.1, 1.1, 300)
    least = 1 / 122
    between = theirs.predict(asked)
    # Straight lines between steps run to the cut values, so the two agree where nothing is cut.
    uncut = (between > least) & (between < 1 - least)
    at_scores = np.clip(theirs.predict(score), least, 1 - least)
    np.testing.assert_allclose(fit_steps(target, score).apply(score), at_scores, atol=1e-12)
    if theirs.predict(score).min() >= least and theirs.predict(score).max() <= 1 - least:
        np.testing.assert_allclose(fit_steps(target, score).apply(asked)[uncut], between[uncut], atol=1e-12)


def test_isotonic_of_many_lesions_is_done_at_once():
    target, score, _ = lesions(count=400_000, share=0.001)
    curve = fit_steps(target.astype(np.float64), score)
    assert len(curve.score) <= 2 * (target.sum() + 1)


def test_prior_makes_the_mean_right():
    target, score, _ = lesions(slope=1.0)
    ours = fit_prior(target, score)
    assert ours.apply(score).mean() == pytest.approx(target.mean(), rel=1e-3)
    assert ours.curves[0].shift == pytest.approx(-2.0, abs=0.3)


@pytest.mark.parametrize("method", METHODS)
def test_a_calibrator_keeps_the_order_and_survives_json(method, tmp_path):
    target, score, fold = lesions()
    found = calibrate(target, score, fold, method)
    assert found.calibrator.method == method
    probability = found.calibrator.apply(score)
    order = np.argsort(score)
    assert np.all(np.diff(probability[order]) >= 0)
    assert np.all((probability > 0) & (probability < 1))
    if method != "isotonic":
        assert pauc(target, probability) == pauc(target, score)
    write_json(tmp_path / "c.json", found.calibrator.to_json())
    again = Calibrator.from_json(read_json(tmp_path / "c.json"))
    assert again == found.calibrator
    np.testing.assert_array_equal(again.apply(score), probability)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from([-2.0, 0.0, 0.5]))
def test_no_curve_ever_falls_however_bad_the_scores(seed, worth):
    rng = np.random.default_rng(seed)
    score = np.round(rng.random(60), 2)
    target = (rng.random(60) < 1 / (1 + np.exp(-worth * (score - 0.5)))).astype(np.int64)
    target[:2] = [0, 1]
    for method in ("auto", *METHODS):
        calibrator = calibrate(target, score, rng.integers(0, 3, 60), method).calibrator
        assert np.all(np.diff(calibrator.apply(np.linspace(0, 1, 500))) >= 0)
        assert Calibrator.from_json(calibrator.to_json()) == calibrator


def test_the_choice_is_by_the_loss_on_folds_that_were_not_seen():
    target, score, fold = lesions(slope=3.0)
    found = calibrate(target, score, fold)
    for method, fit in METHODS.items():
        by_hand = np.empty(len(score))
        for one in range(5):
            by_hand[fold == one] = fit(target[fold != one], score[fold != one]).apply(score[fold == one])
        assert found.log_loss[method] == pytest.approx(log_loss(target, by_hand), abs=1e-12)
        again = cross_fitted(lambda rows, fit=fit: fit(target[rows], score[rows]), score, fold)
        np.testing.assert_array_equal(by_hand, again)
    losses = {name: found.log_loss[name] for name in METHODS}
    assert found.calibrator.method == min(losses, key=losses.get)
    assert min(losses.values()) < log_loss(target, score)
    for one in range(5):
        own = fold == one
        apart = calibrate(target[~own], score[~own], fold[~own]).calibrator
        np.testing.assert_array_equal(found.cross_fitted[own], apart.apply(score[own]))


def test_labels_of_a_fold_do_not_reach_its_own_probabilities():
    target, score, fold = lesions()
    changed = np.where(fold == 2, 1 - target, target)
    for method in ("auto", *METHODS):
        before, after = (calibrate(y, score, fold, method).cross_fitted for y in (target, changed))
        np.testing.assert_array_equal(before[fold == 2], after[fold == 2])
        assert not np.array_equal(before[fold != 2], after[fold != 2])


def test_labels_of_the_only_fold_do_not_reach_its_probabilities():
    target, score, fold = lesions()
    for method in ("auto", *METHODS):
        found = calibrate(target, score, np.zeros_like(fold), method)
        np.testing.assert_array_equal(found.cross_fitted, score)


def test_calibration_reaches_the_truth():
    target, score, fold = lesions(count=40_000)
    line = calibration_line(target, calibrate(target, score, fold).cross_fitted, np.arange(len(target)))
    assert line.slope.low < 1 < line.slope.high
    assert line.intercept.low < 0 < line.intercept.high
    before = calibration_line(target, score, np.arange(len(target)))
    assert before.slope.high < 0.8
    assert before.intercept.high < -1


def test_the_line_is_scikit_learns():
    target, score, _ = lesions()
    theirs = LogisticRegression(C=1e12, tol=1e-12, max_iter=10_000).fit(log_odds(score)[:, None], target)
    line = calibration_line(target, score, np.arange(len(target)))
    assert line.slope.estimate == pytest.approx(theirs.coef_[0, 0], rel=1e-4)


def test_intervals_of_the_line_hold_over_patients():
    """Lesions of a patient share an answer: intervals over rows would promise too much, those over patients hold."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        logit = rng.normal(-1, 1, 150)
        answer = (rng.random(150) < 1 / (1 + np.exp(-logit))).astype(np.int64)
        patient = np.repeat(np.arange(150), 5)
        line = calibration_line(answer[patient], 1 / (1 + np.exp(-logit[patient])), patient)
        held += line.slope.low <= 1 <= line.slope.high
    assert 0.90 <= held / 200 <= 0.99


def test_one_class_has_no_line():
    assert calibration_line(np.zeros(5, dtype=np.int64), np.linspace(0.1, 0.5, 5), np.arange(5)) is None
    assert calibration_line(np.array([0, 1]), np.array([0.5, 0.5]), np.arange(2)) is None


def test_a_prior_pulls_few_lesions_and_not_many():
    rng = np.random.default_rng(0)
    x = rng.normal(size=5000)
    y = (rng.random(5000) < 1 / (1 + np.exp(-(3 * x)))).astype(np.float64)
    belief = Prior((1.0,), (0.3,))
    few, many = (fit_logistic(x[:n, None], y[:n], prior=belief).coefficients[0] for n in (5, 5000))
    assert abs(few - 1) < 0.3
    assert abs(many - 3) < 0.3


def test_many_classes_get_one_temperature():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 4))
    truth = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    target = np.array([rng.choice(4, p=row) for row in truth])
    sharp = truth**3 / (truth**3).sum(axis=1, keepdims=True)
    found = calibrate(target, sharp, rng.integers(0, 3, 4000))
    assert found.calibrator.curves[0].temperature == pytest.approx(3.0, rel=0.1)
    warm = found.calibrator.apply(sharp)
    np.testing.assert_allclose(warm.sum(axis=1), 1.0)
    np.testing.assert_array_equal(warm.argmax(axis=1), sharp.argmax(axis=1))
    assert Calibrator.from_json(found.calibrator.to_json()) == found.calibrator
    assert fit_temperature(target, sharp) == found.calibrator


def test_missing_scores_stay_missing():
    assert np.isnan(Calibrator("prior", (LogOddsCurve(1, 1, 0),)).apply(np.array([np.nan, 0.5]))[0])


@pytest.mark.parametrize(
    "curve",
    [
        {"kind": "log_odds", "rise": -1, "fall": 1, "shift": 0},
        {"kind": "log_odds", "rise": 0, "fall": 0, "shift": 0},
        {"kind": "log_odds", "rise": 1, "fall": 1, "shift": float("nan")},
        {"kind": "log_odds", "rise": 1, "fall": 1},
        {"kind": "steps", "score": [0.1, 0.2], "probability": [0.5, 0.4]},
        {"kind": "steps", "score": [], "probability": []},
        {"kind": "steps", "score": [0.1], "probability": [1.5]},
        {"kind": "temperature", "temperature": 0},
        {"kind": "magic", "rise": 1},
        "no curve",
    ],
)
def test_a_forged_calibrator_is_refused(curve):
    with pytest.raises(DataError, match="not a stored calibrator"):
        Calibrator.from_json({"method": "prior", "curves": [curve]})


def test_isotonic_ties_only_within_its_own_steps():
    target, score, _ = lesions()
    probability = fit_isotonic(target, score).apply(score)
    assert len(np.unique(probability)) < len(np.unique(score))
    assert np.all(np.diff(probability[np.argsort(score)]) >= 0)
