import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.cohort import Cohort, Task
from data.errors import DataError, RecipeError
from features.columns import FORBIDDEN
from features.families.registry import FAMILIES
from features.recipe import FeatureRecipe
from features.table import FeatureTable, build

ADVANCED = FeatureRecipe()
Cohorts = Callable[..., Cohort]
Scores = Callable[..., pl.DataFrame]


def of(cohort: Cohort, table: pl.DataFrame) -> Cohort:
    return Cohort(table, cohort.task, cohort.labelled, cohort.forbidden)


def test_at_least_250_features_with_and_without_image_models(cohort_of: Cohorts, scores_of: Scores) -> None:
    cohort = cohort_of()
    without = build(cohort, ADVANCED)
    assert len(without.features) >= 250
    scores = scores_of(cohort)
    four = scores.with_columns(vit2=pl.col("vit"), vit3=pl.col("vit"))
    assert len(build(cohort, ADVANCED, four).features) == len(without.features) + 4 * 3
    families = {name for name, family in FAMILIES.items() if "advanced" in family.sets}
    assert {feature.family for feature in build(cohort, ADVANCED, four).features} == families


def test_the_compact_set_is_half_of_the_advanced_one(cohort_of: Cohorts, scores_of: Scores) -> None:
    cohort = cohort_of()
    compact = build(cohort, FeatureRecipe(set="compact"), scores_of(cohort))
    whole = build(cohort, ADVANCED, scores_of(cohort))
    assert len(compact.features) < len(whole.features) / 2
    assert {one.family for one in compact.features} >= {"published", "patient_z", "image_rank"}
    assert whole.frame.select(compact.frame.columns).equals(compact.frame, null_equal=True)


def test_rows_columns_and_types(cohort_of: Cohorts, scores_of: Scores) -> None:
    cohort = cohort_of(missing=0.1)
    table = build(cohort, ADVANCED, scores_of(cohort))
    assert table.frame.columns == ["lesion_id", *table.names]
    assert table.frame["lesion_id"].to_list() == cohort.ids.tolist()
    for feature in table.features:
        kind = table.frame.schema[feature.name]
        assert kind == (pl.Float32 if feature.kind == "number" else pl.String), feature
        assert feature.formula
        assert feature.unit
    assert len(set(table.names)) == len(table.names)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 0.6))
def test_finite_or_missing(cohort_of: Cohorts, scores_of: Scores, seed: int, missing: float) -> None:
    cohort = cohort_of((1, 2, 5, 25), seed=seed, missing=missing)
    rng = np.random.default_rng(seed)
    odd = rng.choice([0.0, -1.0, 1e-30, 1e30, float("inf"), float("nan")], cohort.table.height)
    broken = cohort.table.with_columns(
        pl.when(pl.Series(rng.random(cohort.table.height) < 0.3))
        .then(pl.Series(odd))
        .otherwise(pl.col(name))
        .alias(name)
        for name in ("age_approx", "tbp_lv_areaMM2", "tbp_lv_stdL", "tbp_lv_deltaLBnorm", "tbp_lv_x")
    )
    table = build(of(cohort, broken), ADVANCED, scores_of(cohort, seed=seed))
    numbers = table.frame.select(pl.col(pl.Float32))
    assert numbers.select(pl.all().is_finite().all()).row(0) == (True,) * numbers.width


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_permuting_rows_permutes_features(cohort_of: Cohorts, scores_of: Scores, seed: int) -> None:
    cohort = cohort_of((1, 2, 7, 40), seed=seed, missing=0.1)
    order = np.random.default_rng(seed).permutation(cohort.table.height)
    scores = scores_of(cohort)
    straight = build(cohort, ADVANCED, scores).frame[order]
    assert straight.equals(build(of(cohort, cohort.table[order]), ADVANCED, scores).frame)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.sets(st.integers(0, 5), min_size=1, max_size=5))
def test_a_patient_does_not_depend_on_other_patients(
    cohort_of: Cohorts, scores_of: Scores, seed: int, kept: set[int]
) -> None:
    cohort = cohort_of((1, 2, 7, 40, 33, 130), seed=seed, missing=0.1)
    scores = scores_of(cohort)
    mine = pl.col("patient_id").is_in([f"IP_{i:03d}" for i in kept])
    alone = build(of(cohort, cohort.table.filter(mine)), ADVANCED, scores).frame
    together = build(cohort, ADVANCED, scores).frame.filter(cohort.table.select(mine).to_series())
    assert alone.equals(together)


def test_forbidden_columns_and_labels_change_nothing(cohort_of: Cohorts, scores_of: Scores) -> None:
    cohort = cohort_of(missing=0.1)
    scores = scores_of(cohort)
    expected = build(cohort, ADVANCED, scores).frame
    present = [name for name in FORBIDDEN if name in cohort.table.columns]
    assert len(present) == 11
    rng = np.random.default_rng(5)
    scrambled = cohort.table.with_columns(pl.Series(n, rng.integers(0, 2, cohort.table.height)) for n in present)
    assert build(of(cohort, scrambled), ADVANCED, scores).frame.equals(expected)
    test = Cohort(cohort.table.drop(present), cohort.task, labelled=False)
    assert build(test, ADVANCED, scores).frame.equals(expected)


@pytest.mark.parametrize("name", sorted(FORBIDDEN))
def test_a_recipe_cannot_name_a_forbidden_column(name: str) -> None:
    for key in ("extra_columns", "compared_columns", "outlier_columns"):
        with pytest.raises(ValueError, match=f"{name}: known only where the diagnosis is known"):
            FeatureRecipe(**{key: (name,)})


def test_columns_that_the_cohort_forbids_are_refused_by_name(cohort_of: Cohorts) -> None:
    cohort = cohort_of()
    table = cohort.table.with_columns(biopsy_result=pl.lit(1.0))
    leaking = Cohort(table, cohort.task, True, frozenset({"biopsy_result", "tbp_lv_H"}))
    with pytest.raises(RecipeError, match="biopsy_result, tbp_lv_H exist only where the diagnosis is known"):
        build(leaking, FeatureRecipe(extra_columns=("biopsy_result",)))
    with pytest.raises(RecipeError, match="tbp_lv_H exist only"):
        build(leaking, FeatureRecipe(compared_columns=("tbp_lv_H",)))
    strong = tuple(name for name in ADVANCED.outlier_columns if name != "tbp_lv_H")
    made = build(leaking, FeatureRecipe(outlier_columns=strong))
    assert not [feature for feature in made.features if "tbp_lv_H " in f"{feature.formula} {feature.name} "]
    with pytest.raises(RecipeError, match="patient_id names rows or patients"):
        build(cohort, FeatureRecipe(extra_columns=("patient_id",)))


def test_extra_and_unused_columns(cohort_of: Cohorts) -> None:
    cohort = cohort_of()
    table = cohort.table.with_columns(camera=pl.lit("A"), freckles=pl.Series(range(cohort.table.height)))
    wide = of(cohort, table)
    assert not {"camera", "freckles"} & set(build(wide, ADVANCED).names)
    made = build(wide, FeatureRecipe(extra_columns=("camera", "freckles"), unused_columns=("attribution", "tbp_lv_x")))
    assert {"camera", "freckles", "freckles_patient_z"} <= set(made.names)
    assert not {"attribution", "tbp_lv_x", "origin_distance", "skin_nearest_distance"} & set(made.names)
    with pytest.raises(RecipeError, match="no column 'frekles'; did you mean 'freckles'"):
        build(wide, FeatureRecipe(extra_columns=("frekles",)))


def test_another_data_set_gets_what_its_columns_allow() -> None:
    table = pl.DataFrame(
        {
            "image_id": ["a", "b", "c"],
            "lesion_id": ["l1", "l1", "l2"],
            "label": [0, 3, 6],
            "dx": ["nv", "mel", "bkl"],
            "dx_type": ["histo", "follow_up", "histo"],
            "age": [40.0, 40.0, None],
            "sex": ["male", "male", None],
            "localization": ["back", "back", "face"],
        }
    )
    cohort = Cohort(table, Task("image_id", "lesion_id", "label", tuple("abcdefg")), True, frozenset({"dx", "dx_type"}))
    made = build(cohort, ADVANCED)
    assert made.frame["lesion_id"].to_list() == ["a", "b", "c"]
    assert made.names == ("age", "sex", "localization", "patient_lesions")


def test_families_that_make_nothing_are_refused(cohort_of: Cohorts) -> None:
    with pytest.raises(RecipeError, match="image_logit make no feature"):
        build(cohort_of(), FeatureRecipe(families=("image_logit",)))
    with pytest.raises(RecipeError, match=r"\(none\) make no feature"):
        build(cohort_of(), FeatureRecipe(families=("size",), without=("size",)))


def test_two_features_of_one_name_are_refused(cohort_of: Cohorts) -> None:
    cohort = cohort_of()
    wide = of(cohort, cohort.table.with_columns(shape_index=pl.lit(1.0)))
    with pytest.raises(RecipeError, match="two features are named 'shape_index'"):
        build(wide, FeatureRecipe(extra_columns=("shape_index",)))


def test_numbers_that_came_as_text_are_refused(cohort_of: Cohorts) -> None:
    cohort = cohort_of()
    text = of(cohort, cohort.table.with_columns(pl.col("tbp_lv_H").cast(pl.String)))
    with pytest.raises(DataError, match="column tbp_lv_H should hold numbers and holds String"):
        build(text, ADVANCED)


def test_no_lesions_no_rows(cohort_of: Cohorts) -> None:
    cohort = cohort_of()
    empty = build(of(cohort, cohort.table.head(0)), ADVANCED)
    assert empty.frame.height == 0
    assert empty.names == build(cohort, ADVANCED).names


def test_written_and_read(cohort_of: Cohorts, tmp_path: Path) -> None:
    table = build(cohort_of(missing=0.1), ADVANCED)
    table.write(tmp_path / "features.parquet")
    again = FeatureTable.read(tmp_path / "features.parquet")
    assert again.frame.equals(table.frame)
    assert again.features == table.features
    whole = (tmp_path / "features.parquet").read_bytes()
    for name, content in (("half.parquet", whole[: len(whole) // 2]), ("text.parquet", json.dumps({}).encode())):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=f"{name} is not a whole"):
            FeatureTable.read(tmp_path / name)
    table.frame.write_parquet(tmp_path / "bare.parquet")
    with pytest.raises(DataError, match=r"bare\.parquet is not a whole"):
        FeatureTable.read(tmp_path / "bare.parquet")


def test_progress_is_told_after_every_family(cohort_of: Cohorts) -> None:
    seen: list[tuple[int, int, float]] = []

    def listen(done: int, total: int, **figures: float) -> None:
        seen.append((done, total, figures["features"]))

    table = build(cohort_of(), ADVANCED, progress=listen)
    total = len(ADVANCED.chosen)
    assert [done for done, _, _ in seen] == list(range(1, total + 1))
    assert seen[-1] == (total, total, len(table.features))
