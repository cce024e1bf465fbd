"""The recipe: defaults of the paper, completion from the learners, one clear refusal per mistake."""

import json

import pytest
from pydantic import ValidationError

from tabular.learners.registry import LEARNERS
from tabular.learners.search_space import SearchSpace
from tabular.recipe import MemberRecipe, TabularRecipe


def parse(**parts) -> TabularRecipe:
    return TabularRecipe.model_validate_json(json.dumps(parts))


def test_the_default_is_the_ensemble_of_the_paper():
    recipe = TabularRecipe()
    assert [(m.booster, m.image_columns) for m in recipe.members] == [
        ("lightgbm", False), ("lightgbm", True), ("catboost", True), ("xgboost", True),
    ]  # fmt: skip
    for member in recipe.members:
        assert member.parameters == dict(LEARNERS[member.booster].defaults.parameters)
        assert member.iterations == LEARNERS[member.booster].defaults.iterations
        assert member.seeds == (42,)
    assert (recipe.resample.over_ratio, recipe.resample.under_ratio) == (0.003, 0.01)
    assert recipe.blend.method == "mean"
    assert recipe.tune.trials == 0


def test_table_two_as_printed():
    members = {
        name: MemberRecipe(name="a", booster=name, start="table_two") for name in ("lightgbm", "catboost", "xgboost")
    }
    assert members["lightgbm"].parameters["learning_rate"] == 0.03231
    assert members["lightgbm"].parameters["scale_pos_weight"] == 2.7984
    assert members["xgboost"].parameters["min_child_weight"] == 85
    assert members["catboost"].parameters["depth"] == 7
    assert [one.iterations for one in members.values()] == [200, 250, 100]


def test_the_default_start_is_the_whole_public_set():
    members = {name: MemberRecipe(name="a", booster=name) for name in ("lightgbm", "catboost", "xgboost")}
    for name, member in members.items():
        printed = MemberRecipe(name="a", booster=name, start="table_two").parameters
        kept = {key: value for key, value in printed.items() if key != "min_child_weight"}
        assert kept.items() <= member.parameters.items()
        assert set(member.parameters) > set(printed) or name == "xgboost"
    assert members["xgboost"].parameters["min_child_weight"] == 1
    assert members["xgboost"].parameters["reg_lambda"] == 8.8796
    assert members["lightgbm"].parameters["bagging_freq"] == 4
    assert members["catboost"].parameters["l2_leaf_reg"] == 6.2161


def test_a_learner_without_a_printed_set_starts_from_its_own():
    assert MemberRecipe(name="a", booster="logistic", start="table_two").parameters == {"C": 1.0}


def test_a_saved_recipe_reads_back_the_same():
    recipe = parse(
        members=[
            {"name": "a", "booster": "lightgbm", "parameters": {"colsample_bytree": 0.5, "extra_trees": True}},
            {"name": "b", "booster": "xgboost", "start": "library", "parameters": {"max_depth": 3}, "seeds": [1, 2]},
        ]
    )
    assert TabularRecipe.model_validate_json(recipe.model_dump_json()) == recipe


def test_given_parameters_replace_those_of_the_learner_under_any_spelling():
    member = parse(members=[{"name": "a", "booster": "lightgbm", "parameters": {"colsample_bytree": 0.5}}]).members[0]
    assert member.parameters["feature_fraction"] == 0.5
    assert "colsample_bytree" not in member.parameters
    assert member.parameters["learning_rate"] == 0.03231


def test_a_member_may_start_from_the_library():
    member = MemberRecipe(name="a", booster="xgboost", start="library", parameters={"max_depth": 3})
    assert member.parameters == {"max_depth": 3}


def test_with_parameters_changes_only_what_it_is_given():
    member = MemberRecipe(name="a", booster="lightgbm", early_stopping=7)
    changed = member.with_parameters({"iterations": 30, "max_depth": 6})
    assert (changed.iterations, changed.parameters["max_depth"], changed.early_stopping) == (30, 6, 7)
    assert {**changed.parameters, "max_depth": 4} == member.parameters
    assert member.iterations == 200


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"members": [{"name": "a", "booster": "lightgbm", "parameters": {"max_dept": 3}}]},
            "did you mean 'max_depth'",
        ),
        ({"members": [{"name": "a", "booster": "catboost", "parameters": {"random_seed": 3}}]}, "key 'seeds'"),
        ({"members": [{"name": "a/b", "booster": "catboost"}]}, "pattern"),
        ({"members": [{"name": "a", "booster": "adaboost"}]}, "'catboost', 'lightgbm', 'logistic' or 'xgboost'"),
        ({"members": [{"name": "a", "booster": "logistic", "early_stopping": 5}]}, "set early_stopping = 0"),
        ({"members": [{"name": "a", "booster": "lightgbm", "seeds": [1, 1]}]}, "seeds must be different"),
        ({"members": [{"name": "a", "booster": "lightgbm", "seeds": []}]}, "at least 1"),
        ({"members": [{"name": "a", "booster": "lightgbm"}] * 2}, "two entries are named 'a'"),
        ({"resample": {"over_ratio": 0.5, "under_ratio": 0.1}}, "over_ratio = 0.5 is above under_ratio"),
        (
            {"blend": {"method": "vote"}},
            "'mean', 'logit_mean', 'rank_mean', 'weighted', 'stacker', 'rank_stacker' or 'chosen'",
        ),
        ({"tune": {"members": ["lightgbn"]}}, "no member is called 'lightgbn'"),
        ({"tune": {"spaces": {"xgboost": {"depht": {"low": 1, "high": 2}}}}}, "xgboost has no parameter 'depht'"),
        ({"tune": {"spaces": {"xgboost": {"max_depth": {"low": 3, "high": 3}}}}}, "low = 3 must be below high"),
        ({"tune": {"spaces": {"xgboost": {"gamma": {"low": 0, "high": 3, "log": True}}}}}, "above 0 when log"),
        ({"tune": {"spaces": {"xgboost": {"gamma": {"low": 1}}}}}, "give low and high, or choices"),
        ({"tune": {"spaces": {"xgboost": {"gamma": {"low": 1, "high": 2, "choices": [1]}}}}}, "exclude each other"),
    ],
)
def test_mistakes_are_named(parts, message):
    with pytest.raises(ValidationError, match=message):
        parse(**parts)


def test_a_members_own_space_comes_before_its_boosters():
    recipe = parse(
        tune={
            "spaces": {
                "lightgbm": {"max_depth": {"low": 3, "high": 5}},
                "lightgbm_metadata": {"eta": {"choices": [0.1]}},
            }
        }
    )
    metadata, full, catboost, _ = recipe.members
    assert recipe.tune.search_space_of(metadata) == {"learning_rate": SearchSpace(choices=(0.1,))}
    assert recipe.tune.search_space_of(full) == {"max_depth": SearchSpace(low=3, high=5)}
    assert "depth" in recipe.tune.search_space_of(catboost)


def test_every_default_space_holds_the_default():
    recipe = TabularRecipe()
    for member in recipe.members:
        start = {**member.parameters, "iterations": member.iterations}
        for name, space in recipe.tune.search_space_of(member).items():
            assert space.low <= start[name] <= space.high, (member.name, name)
