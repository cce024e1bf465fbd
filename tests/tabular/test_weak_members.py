"""Weak members: named when a difference is beyond chance, and never otherwise."""

import numpy as np
import pytest

from tabular.blend import blend
from tabular.recipe import BlendRecipe, MemberRecipe
from tabular.weak_members import Answers, weak_members

LESIONS, PATIENTS = 3000, 300


def member(name: str, **changed) -> MemberRecipe:
    return MemberRecipe(name=name, booster="logistic", **changed)


@pytest.fixture(scope="module")
def answers() -> Answers:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, PATIENTS, LESIONS)
    return Answers((rng.random(LESIONS) < 0.1).astype(np.int64), groups % 5, groups, "pauc")


def found(answers: Answers, strengths: dict[str, float], *, blind: str = ""):
    """Weaknesses of members whose logits lie so far apart for the two classes."""
    rng = np.random.default_rng(1)
    logits = {name: strength * answers.target + rng.normal(size=LESIONS) for name, strength in strengths.items()}
    columns = {name: 1 / (1 + np.exp(-logit)) for name, logit in logits.items()}
    recipe = BlendRecipe()
    blended = blend(columns, recipe, target=answers.target, folds=answers.folds).out_of_fold
    members = tuple(member(name, image_columns=name != blind) for name in columns)
    return {(one.member, one.kind): one for one in weak_members(columns, blended, recipe, members, answers, seed=3)}


def test_members_alike_are_not_named(answers: Answers):
    assert not found(answers, {"a": 2.0, "b": 2.0, "c": 2.0})


def test_a_useless_member_is_named_for_both_reasons(answers: Answers):
    weak = found(answers, {"a": 3.0, "b": 3.0, "c": 0.0})
    assert set(weak) == {("c", "behind"), ("c", "harmful")}
    for one in weak.values():
        assert 0 < one.low < one.other - one.score < one.high
        assert "member c" in one.sentence("pauc", "lesions")
        assert "over lesions)" in one.sentence("pauc", "lesions")


def test_a_member_that_sees_less_is_not_compared_with_those_that_see_more(answers: Answers):
    assert ("c", "behind") not in found(answers, {"a": 3.0, "b": 3.0, "c": 0.0}, blind="c")


def test_a_score_that_is_not_defined_names_nobody(answers: Answers):
    single = Answers(np.zeros(LESIONS, np.int64), answers.folds, answers.groups, "pauc")
    assert not found(single, {"a": 1.0, "b": 1.0})


def test_a_score_where_less_is_better(answers: Answers):
    by_loss = Answers(answers.target, answers.folds, answers.groups, "log_loss")
    assert ("c", "behind") in found(by_loss, {"a": 3.0, "b": 3.0, "c": -3.0})
