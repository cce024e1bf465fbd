from collections.abc import Callable

import pytest

from data.cohort import Cohort
from features.describe import describe, describe_families
from features.families.registry import FAMILIES
from features.recipe import FeatureRecipe
from features.table import build


def test_every_feature_has_its_row(cohort_of: Callable[..., Cohort]) -> None:
    table = build(cohort_of((10, 10), missing=0.3), FeatureRecipe())
    rows = describe(table)
    assert rows["feature"].to_list() == list(table.names)
    assert rows.null_count().row(0) == (0,) * rows.width
    shares = dict(zip(rows["feature"], rows["missing_share"], strict=True))
    assert shares["tbp_lv_H"] == pytest.approx(table.frame["tbp_lv_H"].null_count() / 20)
    assert shares["patient_lesions"] == 0
    units = dict(zip(rows["feature"], rows["unit"], strict=True))
    assert (units["log_area"], units["skin_nearest_distance"]) == ("log mm2", "mm")


def test_families_of_a_recipe() -> None:
    rows = describe_families(FeatureRecipe(set="simple"))
    assert rows.filter(rows["made"])["family"].to_list() == ["published", "image_logit"]
    assert rows["family"].to_list() == list(FAMILIES)
    assert rows["what"].str.len_chars().min() > 10
