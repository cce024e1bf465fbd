"""The real ISIC 2024 rows through the feature stage: no warning (they are errors here), identities, defined results."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.cohort import Cohort
from data.schemas.isic2024 import FORBIDDEN, SCHEMA, TASK
from data.tables.csv import read_csv
from data.tables.schema import validate
from features.describe import describe
from features.encode import Encoder
from features.recipe import FeatureRecipe
from features.table import FeatureTable, build

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    given = os.environ.get("FUSIONNETX_REAL")
    if not given:
        pytest.skip("set FUSIONNETX_REAL to a folder of real data")
    checked = validate(read_csv(Path(given) / "isic2024" / "train-metadata-part.csv"), SCHEMA)
    assert not checked.errors
    return Cohort(checked.table, TASK, True, FORBIDDEN)


@pytest.fixture(scope="module")
def table(cohort: Cohort) -> FeatureTable:
    scores = pl.DataFrame({"lesion_id": cohort.ids, "vit": np.linspace(0, 1, len(cohort.ids))})
    return build(cohort, FeatureRecipe(), scores)


def test_all_features_are_made_and_finite_or_missing(cohort: Cohort, table: FeatureTable) -> None:
    assert table.frame.height == 661
    assert len(table.features) > 350
    numbers = table.frame.select(pl.col(pl.Float32))
    assert numbers.select(pl.all().is_finite().all()).row(0) == (True,) * numbers.width
    missing = describe(table).filter(pl.col("missing_share") > 0.5)
    assert missing.is_empty(), missing


def test_published_identities_hold(cohort: Cohort, table: FeatureTable) -> None:
    published, made = cohort.table, table.frame
    np.testing.assert_allclose(made["lightness_contrast"], published["tbp_lv_deltaL"].abs(), rtol=1e-3, atol=2e-3)
    form = 1 / made["shape_index"].cast(pl.Float64)
    np.testing.assert_allclose(form, published["tbp_lv_area_perim_ratio"], rtol=1e-3)
    chroma = np.hypot(published["tbp_lv_A"], published["tbp_lv_B"])
    np.testing.assert_allclose(chroma, published["tbp_lv_C"], rtol=1e-4)
    hue = np.degrees(np.arctan2(published["tbp_lv_B"], published["tbp_lv_A"]))
    np.testing.assert_allclose(hue, published["tbp_lv_H"], atol=1e-2)
    no_colour = published["tbp_lv_norm_color"] == 0
    assert (published["tbp_lv_color_std_mean"].filter(no_colour) == 0).all()
    assert made["colour_sd_over_radial"].filter(no_colour).null_count() > 0


@pytest.mark.parametrize("name", ["simple", "advanced"])
def test_encoded(cohort: Cohort, name: str) -> None:
    recipe = FeatureRecipe.model_validate_json(f'{{"set": "{name}"}}')
    table = build(cohort, recipe)
    rows = np.arange(0, 661, 2)
    encoder, matrix = Encoder.fit_transform(table, rows, cohort.target, recipe, cohort.groups)
    assert matrix.values.shape[0] == len(rows)
    assert np.isfinite(matrix.values).all()
    assert np.isfinite(encoder.transform(table).values).all()
