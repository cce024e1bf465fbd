from collections.abc import Callable

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.special import logit

from data.cohort import Cohort
from data.errors import DataError
from features.recipe import FeatureRecipe
from features.table import build

FAMILIES = FeatureRecipe(families=("image_logit", "image_ratio", "image_rank"))


def joined(cohort: Cohort, scores: pl.DataFrame) -> pd.DataFrame:
    left = pd.DataFrame({"lesion_id": cohort.ids, "patient": cohort.groups})
    right = pd.DataFrame(scores.to_dict(as_series=False)).astype({"convnext": float})
    return left.merge(right, on="lesion_id", how="left")


def test_equal_pandas(cohort_of: Callable[..., Cohort], scores_of: Callable[..., pl.DataFrame]) -> None:
    cohort = cohort_of((1, 2, 30))
    scores = scores_of(cohort)
    table = build(cohort, FAMILIES, scores)
    frame = joined(cohort, scores)
    for model in ("vit", "convnext"):
        groups = frame.groupby("patient")[model]
        expected = {
            "logit": logit(frame[model]),
            "ratio": frame[model] / groups.transform("mean"),
            "rank": (groups.rank() - 0.5) / groups.transform("count"),
        }
        for name, values in expected.items():
            found = table.frame[f"{model}_{name}"].to_numpy()
            np.testing.assert_allclose(found, values, rtol=2e-6, err_msg=f"{model} {name}")
    assert all(feature.image for feature in table.features)


def test_certain_probabilities_have_finite_logits(cohort_of: Callable[..., Cohort]) -> None:
    cohort = cohort_of((3,))
    scores = pl.DataFrame({"lesion_id": cohort.ids, "vit": [0.0, 1.0, 0.5]})
    values = build(cohort, FAMILIES, scores).frame["vit_logit"].to_list()
    assert values == pytest.approx([logit(1e-6), -logit(1e-6), 0.0])


def test_all_probabilities_zero_leave_the_ratio_missing(cohort_of: Callable[..., Cohort]) -> None:
    cohort = cohort_of((3,))
    scores = pl.DataFrame({"lesion_id": cohort.ids, "vit": [0.0, 0.0, 0.0]})
    assert build(cohort, FAMILIES, scores).frame["vit_ratio"].null_count() == 3


def test_site_and_age_looks_at_other_patients_only_when_named(
    cohort_of: Callable[..., Cohort], scores_of: Callable[..., pl.DataFrame]
) -> None:
    cohort = cohort_of((1, 2, 30), missing=0.1)
    cohort = Cohort(cohort.table.with_columns((pl.col("age_approx") / 5).round() * 5), cohort.task, True)
    scores = scores_of(cohort)
    assert not any(feature.transductive for feature in build(cohort, FeatureRecipe(), scores).features)
    table = build(cohort, FeatureRecipe(families=("image_site_age_z",)), scores)
    assert all(feature.transductive for feature in table.features)
    value = pd.Series(logit(joined(cohort, scores)["vit"]))
    site = pd.Series(cohort.table["anatom_site_general"].to_list()).fillna("no site")
    age = pd.Series(cohort.table["age_approx"].to_numpy()).fillna(-1)
    groups = value.groupby([site, age])
    expected = (value - groups.transform("mean")) / (groups.transform("std").fillna(0) + 1e-5)
    np.testing.assert_allclose(table.frame["vit_site_age_z"].to_numpy(), expected, rtol=1e-4, atol=1e-4)


def test_no_scores_no_image_features(cohort_of: Callable[..., Cohort]) -> None:
    assert not any(feature.image for feature in build(cohort_of(), FeatureRecipe()).features)


def test_rows_that_are_missing_doubled_or_no_probability_are_named(cohort_of: Callable[..., Cohort]) -> None:
    cohort = cohort_of((5,))
    ids = cohort.ids.tolist()
    scores = pl.DataFrame({"lesion_id": [*ids[1:], ids[1]], "vit": [0.1, 0.2, 1.5, float("nan"), 0.1]})
    with pytest.raises(DataError) as error:
        build(cohort, FAMILIES, scores)
    for part in (
        f"no row for 1 lesions of the cohort ({ids[0]})",
        f"more than once ({ids[1]})",
        "vit is no probability for 2",
    ):
        assert part in str(error.value)
    with pytest.raises(DataError, match="no column 'lesion_id'"):
        build(cohort, FAMILIES, scores.rename({"lesion_id": "id"}))
    with pytest.raises(DataError, match="vit holds String"):
        build(cohort, FAMILIES, pl.DataFrame({"lesion_id": ids, "vit": ["0.1"] * 5}))


def test_lesions_of_other_cohorts_are_passed_over(cohort_of: Callable[..., Cohort]) -> None:
    cohort = cohort_of((5,))
    scores = pl.DataFrame({"lesion_id": cohort.ids, "fold": [0, 1, 0, 1, 0], "vit": [0.1, 0.2, 0.3, 0.4, 0.5]})
    more = pl.concat([scores, pl.DataFrame({"lesion_id": ["other"], "fold": [0], "vit": [0.9]})])
    assert build(cohort, FAMILIES, more).frame.equals(build(cohort, FAMILIES, scores).frame)
    assert "fold_logit" not in build(cohort, FAMILIES, scores).names


def test_images_of_one_group_are_put_together(
    cohort_of: Callable[..., Cohort], scores_of: Callable[..., pl.DataFrame]
) -> None:
    cohort = cohort_of((1, 2, 30))
    scores = scores_of(cohort)
    found = build(cohort, FeatureRecipe(families=("image_together",)), scores).frame
    frame = joined(cohort, scores)
    for model in ("vit", "convnext"):
        logits = logit(frame[model]).groupby(frame["patient"])
        np.testing.assert_allclose(found[f"{model}_mean"].to_numpy(), logits.transform("mean"), rtol=2e-5)
        np.testing.assert_allclose(found[f"{model}_highest"].to_numpy(), logits.transform("max"), rtol=2e-5)
