from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.cohort import Cohort
from features.arrange import arrange, patient_order
from features.families.registry import FAMILIES
from features.recipe import FeatureRecipe
from features.source import PATIENT, PLACES


def test_lesions_are_together_by_patient_and_sorted_by_id() -> None:
    patient = pl.Series([5, 2, 5, 2, 9], dtype=pl.UInt32)
    lesion = pl.Series(["c", "b", "a", "d", "e"])
    assert patient_order(patient, lesion).to_list() == [1, 3, 2, 0, 4]


def test_back_undoes_the_order(cohort_of: Callable[..., Cohort]) -> None:
    cohort = cohort_of((3, 1, 20))
    source, back = arrange(cohort, FeatureRecipe(), None)
    np.testing.assert_array_equal(source.frame["tbp_lv_H"].gather(back), cohort.table["tbp_lv_H"])
    assert source.frame[PATIENT].is_sorted()
    codes = source.frame[PATIENT].gather(back).to_numpy()
    assert len({*zip(codes, cohort.groups, strict=True)}) == len(set(codes)) == 3


def test_place_keys_are_unique_to_patient_and_place(cohort_of: Callable[..., Cohort]) -> None:
    cohort = cohort_of((3, 1, 40), missing=0.3)
    source, back = arrange(cohort, FeatureRecipe(), None)
    for place, column in (("location", "tbp_lv_location"), ("site", "anatom_site_general")):
        keys = source.frame[PLACES[place]].gather(back).to_list()
        names = list(zip(cohort.groups.tolist(), cohort.table[column].to_list(), strict=True))
        assert len(set(keys)) == len(set(names)) == len(set(zip(keys, names, strict=True)))


def test_nothing_forbidden_reaches_the_source(cohort_of: Callable[..., Cohort]) -> None:
    cohort = cohort_of()
    source, _ = arrange(cohort, FeatureRecipe(), None)
    hidden = {*cohort.forbidden, cohort.task.lesion, cohort.task.group, cohort.task.target}
    assert not hidden & set(source.frame.columns)


def test_odd_cells_are_missing(cohort_of: Callable[..., Cohort]) -> None:
    cohort = cohort_of((4,))
    odd = pl.Series([float("inf"), float("nan"), None, 1.0])
    cohort = Cohort(cohort.table.with_columns(tbp_lv_H=odd), cohort.task, True)
    source, back = arrange(cohort, FeatureRecipe(), None)
    assert source.frame["tbp_lv_H"].gather(back).to_list() == [None, None, None, 1.0]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_in_the_documentation(family: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / "features.md").read_text(encoding="utf-8")
    assert f"`{family}`" in text
