import json

import pytest
from pydantic import ValidationError

from features.columns import FORBIDDEN, KNOWN, STRONG
from features.families.registry import FAMILIES
from features.recipe import FeatureRecipe


def test_sets() -> None:
    assert FeatureRecipe(set="simple").chosen == ("published", "image_logit")
    advanced = FeatureRecipe().chosen
    assert advanced == tuple(name for name in FAMILIES if name not in ("image_site_age_z", "image_together"))


def test_families_chosen_and_left_out_keep_their_order() -> None:
    recipe = FeatureRecipe(families=("counts", "size", "image_site_age_z"), without=("counts",))
    assert recipe.chosen == ("size", "image_site_age_z")


def test_defaults_of_the_sets() -> None:
    simple, advanced = FeatureRecipe(set="simple"), FeatureRecipe()
    assert (simple.category_encoding, simple.encodes_target) == ("none", True)
    assert (advanced.category_encoding, advanced.encodes_target) == ("one_hot", False)
    chosen = FeatureRecipe(set="simple", categories="native", target_encoding=False)
    assert (chosen.category_encoding, chosen.encodes_target) == ("native", False)


@pytest.mark.parametrize("key", ["families", "without"])
def test_unknown_family_names_the_nearest(key: str) -> None:
    with pytest.raises(
        ValidationError, match=r"unknown feature family 'patient_zz'; did you mean 'patient_z'\?; known: "
    ):
        FeatureRecipe(**{key: ("patient_zz",)})


@pytest.mark.parametrize(
    "wrong",
    [
        {"set": "huge"},
        {"epsilon": 0.0},
        {"outlier_neighbours": 0},
        {"skin_neighbours": "5"},
        {"impute": "mean"},
        {"categories": "hash"},
        {"target_folds": 1},
        {"familys": ()},
    ],
)
def test_wrong_values_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        FeatureRecipe(**wrong)


def test_json_there_and_back() -> None:
    recipe = FeatureRecipe(families=("size",), epsilon=1e-3, target_encoding=True)
    assert FeatureRecipe.model_validate_json(json.dumps(recipe.model_dump(mode="json"))) == recipe


def test_known_columns() -> None:
    assert not FORBIDDEN & set(KNOWN)
    assert len(STRONG) == len(set(STRONG)) == 17
    assert all(KNOWN[name].kind == "number" for name in STRONG)
    assert sum(column.kind == "number" for column in KNOWN.values()) == 34 + 1


def test_every_family_is_documented() -> None:
    for name, family in FAMILIES.items():
        assert family.make.__doc__, name
        assert family.make.__doc__.splitlines()[0].endswith("."), name
