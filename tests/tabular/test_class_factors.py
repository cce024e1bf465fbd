"""Factors per class: more macro F1 on lesions they were not found on, and nothing of a fold's own answers."""

import json

import numpy as np
import pytest

from data.scores.scores import SCORES
from tabular.blend import BlendState, blend
from tabular.class_factors import SCORES_OF_CALLS, class_factors, reweighted
from tabular.recipe import BlendRecipe

PRIORS = np.array([0.5, 0.3, 0.1, 0.05, 0.03, 0.02])
LESIONS = 6000


@pytest.fixture(scope="module")
def lesions():
    """Probabilities as a calibrated model gives them, with folds."""
    rng = np.random.default_rng(0)
    target = rng.choice(len(PRIORS), LESIONS, p=PRIORS)
    logits = np.log(PRIORS) + rng.normal(size=(LESIONS, len(PRIORS)))
    logits[np.arange(LESIONS), target] += 2.0
    odds = np.exp(logits)
    return odds / odds.sum(axis=1, keepdims=True), target, np.arange(LESIONS) % 5


def blended(lesions, calls: str, target=None):
    probability, own, folds = lesions
    recipe = BlendRecipe(calls=calls)
    return blend({"a": probability, "b": probability}, recipe, target=own if target is None else target, folds=folds)


OTHER_CALLS = pytest.mark.parametrize("calls", ["macro_f1", "balanced_accuracy"])


@pytest.mark.parametrize(("calls", "registered"), [("macro_f1", "f1"), ("balanced_accuracy", "balanced_accuracy")])
def test_what_is_searched_for_is_the_registered_score(lesions, calls, registered):
    probability, target, _ = lesions
    assert SCORES_OF_CALLS[calls](probability, target) == pytest.approx(SCORES[registered](target, probability))


@OTHER_CALLS
def test_rare_classes_are_called_and_the_score_rises_out_of_fold(lesions, calls):
    plain, weighted = (blended(lesions, how).out_of_fold for how in ("likeliest", calls))
    target, score = lesions[1], SCORES_OF_CALLS[calls]
    assert score(weighted, target) > score(plain, target) + 0.02
    np.testing.assert_allclose(weighted.sum(axis=1), 1.0)
    assert abs(SCORES["auc"](target, weighted) - SCORES["auc"](target, plain)) < 0.01


def test_balanced_accuracy_of_true_probabilities_is_best_without_their_priors():
    """Bayes' rule: where probabilities are the true ones, dividing by the shares of the classes calls best."""
    rng = np.random.default_rng(3)
    target = rng.choice(3, 40_000, p=[0.9, 0.08, 0.02])
    seen = rng.normal(size=(len(target), 3)) + 1.5 * np.eye(3)[target]
    odds = np.array([0.9, 0.08, 0.02]) * np.exp(1.5 * seen)
    probability = odds / odds.sum(axis=1, keepdims=True)
    best = np.mean([np.mean(seen[target == label].argmax(axis=1) == label) for label in range(3)])
    found = reweighted(probability, class_factors(probability, target, "balanced_accuracy"))
    assert SCORES["balanced_accuracy"](target, found) == pytest.approx(best, abs=0.01)


@OTHER_CALLS
def test_a_folds_own_answers_do_not_count(lesions, calls):
    _, target, folds = lesions
    turned = target.copy()
    turned[folds == 2] = np.random.default_rng(1).permutation(turned[folds == 2])
    one, other = blended(lesions, calls), blended(lesions, calls, turned)
    np.testing.assert_array_equal(one.out_of_fold[folds == 2], other.out_of_fold[folds == 2])


def test_the_state_comes_back_from_json_and_an_earlier_one_has_no_factors(lesions):
    state = blended(lesions, "macro_f1").state
    stored = json.loads(json.dumps(state.to_json()))
    assert BlendState.from_json(stored) == state
    del stored["class_factors"]
    assert BlendState.from_json(stored).class_factors == ()


def test_missing_rows_are_left_out_and_equal_factors_change_nothing(lesions):
    probability, target, _ = lesions
    gaps = probability.copy()
    gaps[::9] = np.nan
    kept = np.delete(probability, np.s_[::9], 0), np.delete(target, np.s_[::9])
    assert class_factors(gaps, target, "macro_f1") == class_factors(*kept, "macro_f1")
    np.testing.assert_allclose(reweighted(probability, (2.0,) * len(PRIORS)), probability)


def test_two_classes_need_no_factors():
    rng = np.random.default_rng(0)
    columns = {"a": rng.random(100), "b": rng.random(100)}
    for calls in ("likeliest", "macro_f1", "balanced_accuracy"):
        found = blend(columns, BlendRecipe(calls=calls), target=rng.integers(0, 2, 100), folds=np.arange(100) % 2)
        assert found.state.class_factors == ()
