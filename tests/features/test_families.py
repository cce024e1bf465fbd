"""The registry of families: the order of columns, what each looks at, and one from outside in one object."""

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest

from data.errors import RecipeError
from features.batches import build_in_batches
from features.describe import describe_families
from features.encode import Encoder
from features.families.family import Family, Settings, family
from features.families.registry import FAMILIES, patient_families
from features.recipe import FeatureRecipe
from features.source import PATIENT, Feature, Made, Source, ratio
from features.table import build

IN_ORDER = (
    "published", "size", "colour", "border", "position", "patient_z", "location_z", "simple_location_z", "site_z",
    "patient_rank", "patient_robust_z", "outlying", "local_outlier_factor", "skin_neighbours", "counts", "image_logit",
    "image_ratio", "image_together", "image_rank", "image_site_age_z",
)  # fmt: skip


@family(sets=("simple",), looks_at="patient")
def share_of_largest(source: Source, settings: Settings) -> list[Made]:
    """Area over the largest area of the patient's lesions."""
    area = pl.col("tbp_lv_areaMM2")
    feature = Feature("share_of_largest", "share_of_largest", "area / largest area of the patient")
    return [Made(feature, ratio(area, area.max().over(PATIENT)))]


@family(sets=(), looks_at="table")
def age_rank(source: Source, settings: Settings) -> list[Made]:
    """Rank of the age among all patients of the table."""
    return [Made(Feature("age_rank", "age_rank", "rank of age"), pl.col("age_approx").rank("average"))]


@pytest.fixture
def added() -> Iterator[None]:
    for one in (share_of_largest, age_rank):
        FAMILIES.add(one)
    yield
    for one in (share_of_largest, age_rank):
        FAMILIES.remove(one.name)


def test_the_order_of_the_families_is_that_of_the_columns() -> None:
    """A change here changes every matrix, and with it every model."""
    assert tuple(FAMILIES) == IN_ORDER
    places = [one.place for one in FAMILIES.values()]
    assert places == sorted(set(places))


def test_what_is_of_one_lesion_alone_is_declared_so() -> None:
    assert all(one.looks_at == "lesion" for one in FAMILIES.values() if one.lesion_alone)
    assert [one.name for one in FAMILIES.values() if one.looks_at == "table"] == ["image_site_age_z"]
    assert all(not one.sets for one in FAMILIES.values() if one.looks_at == "table")


@pytest.mark.usefixtures("added")
def test_a_family_from_outside_comes_last_and_is_like_any_other(cohort_of) -> None:
    assert tuple(FAMILIES) == (*IN_ORDER, "age_rank", "share_of_largest")
    assert patient_families()[-1] == "share_of_largest"
    recipe = FeatureRecipe(set="simple")
    assert recipe.chosen == ("published", "image_logit", "share_of_largest")
    cohort = cohort_of()
    table = build(cohort, recipe)
    assert table.names[-1] == "share_of_largest"
    by_patient = table.frame.group_by(cohort.table["patient_id"]).agg(pl.col("share_of_largest").max())
    assert by_patient["share_of_largest"].to_list() == [1.0] * 4
    everyone = np.arange(len(table.frame))
    _, matrix = Encoder.fit_transform(table, everyone, cohort.target, recipe)
    assert "share_of_largest" in matrix.families
    told = describe_families(recipe).rows_by_key("family", named=True, unique=True)
    assert told["share_of_largest"] == {"made": True, "what": "Area over the largest area of the patient's lesions."}
    assert FeatureRecipe(without=("share_of_largest",)).chosen == tuple(
        name for name in IN_ORDER if FAMILIES[name].sets
    )


@pytest.mark.usefixtures("added")
def test_a_family_that_looks_at_the_table_is_flagged_and_kept_out_of_batches(cohort_of, tmp_path) -> None:
    recipe = FeatureRecipe(families=("size", "age_rank"))
    flags = {feature.name: feature.transductive for feature in build(cohort_of(), recipe).features}
    assert flags.pop("age_rank")
    assert not any(flags.values())
    with pytest.raises(RecipeError, match="age_rank compares patients with each other"):
        build_in_batches([cohort_of()], recipe, tmp_path)


def test_a_name_that_is_taken_is_refused() -> None:
    with pytest.raises(RecipeError, match="already a feature family called 'size'"):
        FAMILIES.add(Family("size", age_rank.make))
