import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.cohort import Cohort
from data.errors import DataError, RecipeError
from data.files import read_json, write_json
from features.encode import CHUNK, Encoder
from features.recipe import FeatureRecipe
from features.table import Feature, FeatureTable, build

SMALL = FeatureTable(
    pl.DataFrame(
        {
            "lesion_id": list("abcdefgh"),
            "size": [1.0, 2.0, None, 4.0, 50.0, None, 7.0, 8.0],
            "site": ["arm", "leg", None, "arm", "face", "leg, left", "arm", None],
            "score": [0.1, 0.2, 0.3, None, 0.5, 0.6, 0.7, 0.8],
        },
        schema_overrides={"size": pl.Float32, "score": pl.Float32},
    ),
    (
        Feature("size", "published", "size", "mm"),
        Feature("site", "published", "site", "category", "category"),
        Feature("score", "image_logit", "p", "logit", image=True),
    ),
)
TARGET = np.array([0, 1, 0, 1, 1, 0, 0, 1])
TRAINING = np.array([0, 1, 2, 3])
NATIVE = FeatureRecipe(categories="native")


def test_one_hot_medians_and_what_columns_mean() -> None:
    encoder = Encoder.fit(SMALL, TRAINING, None, FeatureRecipe())
    matrix = encoder.transform(SMALL)
    assert matrix.names == ("size", "site=arm", "site=leg", "score")
    assert matrix.families == ("published", "published", "published", "image_logit")
    assert (matrix.categorical, matrix.image) == ((), (3,))
    assert matrix.values.dtype == np.float32
    assert matrix.values.flags.c_contiguous
    expected = [
        [1, 1, 0, 0.1],
        [2, 0, 1, 0.2],
        [2, 0, 0, 0.3],
        [4, 1, 0, 0.2],
        [50, 0, 0, 0.5],
        [2, 0, 0, 0.6],
        [7, 1, 0, 0.7],
        [8, 0, 0, 0.8],
    ]
    np.testing.assert_array_equal(matrix.values, np.array(expected, np.float32))
    np.testing.assert_array_equal(matrix.without_image().values, matrix.values[:, :3])


def test_native_and_ordinal_codes() -> None:
    native = Encoder.fit(SMALL, TRAINING, None, NATIVE).transform(SMALL)
    assert (native.names, native.categorical) == (("size", "site", "score"), (1,))
    codes = [0, 1, np.nan, 0, np.nan, np.nan, 0, np.nan]
    np.testing.assert_array_equal(native.values[:, 1], codes)
    ordinal = Encoder.fit(SMALL, TRAINING, None, FeatureRecipe(categories="ordinal")).transform(SMALL)
    assert ordinal.categorical == ()
    np.testing.assert_array_equal(ordinal.values[:, 1], np.nan_to_num(codes, nan=-1))


def test_without_imputation_missing_is_nan() -> None:
    values = Encoder.fit(SMALL, TRAINING, None, FeatureRecipe(impute="none")).transform(SMALL).values
    np.testing.assert_array_equal(np.isnan(values[:, 0]), SMALL.frame["size"].is_null())


def test_scaled_numbers() -> None:
    values = Encoder.fit(SMALL, TRAINING, None, FeatureRecipe(scale="standard")).transform(SMALL, TRAINING).values
    np.testing.assert_allclose(values[:, 0].mean(), 0, atol=1e-6)
    np.testing.assert_allclose(values[:, 0].std(), 1, rtol=1e-6)
    values = Encoder.fit(SMALL, TRAINING, None, FeatureRecipe(scale="minmax")).transform(SMALL, TRAINING).values
    assert (values[:, 0].min(), values[:, 0].max()) == (0, 1)


def test_target_encoding_of_other_rows() -> None:
    recipe = FeatureRecipe(set="simple", target_smoothing=2.0)
    matrix = Encoder.fit(SMALL, TRAINING, TARGET, recipe).transform(SMALL)
    assert matrix.names == ("size", "score", "site_share")
    arm, leg, missing, prior = (1 + 2 * 0.5) / 4, (1 + 2 * 0.5) / 3, (0 + 2 * 0.5) / 3, 0.5
    expected = [arm, leg, missing, arm, prior, prior, arm, missing]
    np.testing.assert_allclose(matrix.values[:, 2], expected, rtol=1e-6)


def random_table(lesions: int = 300, seed: int = 0) -> tuple[FeatureTable, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "lesion_id": [str(i) for i in range(lesions)],
            "size": rng.normal(size=lesions).astype(np.float32),
            "site": rng.choice(["arm", "leg", "face", "back"], lesions),
            "sex": rng.choice(["male", "female"], lesions),
        }
    )
    features = (
        Feature("size", "published", "size"),
        Feature("site", "published", "site", kind="category"),
        Feature("sex", "published", "sex", kind="category"),
    )
    return FeatureTable(frame, features), rng.integers(0, 2, lesions), rng.integers(0, 30, lesions)


def test_no_row_sees_a_label_of_its_own_patient() -> None:
    table, target, patients = random_table()
    rows = np.arange(0, 300, 2)
    recipe = FeatureRecipe(target_encoding=True, target_smoothing=5.0)
    _, matrix = Encoder.fit_transform(table, rows, target, recipe, patients, seed=3)
    shares = [i for i, name in enumerate(matrix.names) if name.endswith("_share")]
    assert shares == [7, 8]
    changed_others = False
    for i in range(20):
        flipped = target.copy()
        flipped[rows[i]] = 1 - flipped[rows[i]]
        _, other = Encoder.fit_transform(table, rows, flipped, recipe, patients, seed=3)
        mine = patients[rows] == patients[rows[i]]
        np.testing.assert_array_equal(matrix.values[mine], other.values[mine])
        changed_others |= bool((matrix.values != other.values).any())
    assert changed_others


def test_labels_of_validation_rows_change_nothing() -> None:
    table, target, patients = random_table()
    rows = np.flatnonzero(patients < 20)
    recipe = FeatureRecipe(target_encoding=True)
    encoder, matrix = Encoder.fit_transform(table, rows, target, recipe, patients)
    other = target.copy()
    other[patients >= 20] = 1 - other[patients >= 20]
    again, same = Encoder.fit_transform(table, rows, other, recipe, patients)
    assert encoder == again
    np.testing.assert_array_equal(matrix.values, same.values)


def test_validation_features_do_not_enter_the_fit() -> None:
    table, target, _ = random_table()
    rows = np.arange(200)
    moved = table.frame.with_columns(
        pl.when(pl.int_range(pl.len()) >= 200).then(pl.col("size") + 1000).otherwise(pl.col("size")).alias("size"),
        pl.when(pl.int_range(pl.len()) >= 200).then(pl.lit("moon")).otherwise(pl.col("site")).alias("site"),
    )
    recipe = FeatureRecipe(target_encoding=True, scale="standard")
    assert Encoder.fit(table, rows, target, recipe) == Encoder.fit(replace(table, frame=moved), rows, target, recipe)


def test_several_classes_get_a_share_each() -> None:
    table, target, patients = random_table()
    _, matrix = Encoder.fit_transform(table, np.arange(300), target + patients % 2, FeatureRecipe(set="simple"))
    assert matrix.names[1:4] == ("site_share_0", "site_share_1", "site_share_2")
    np.testing.assert_allclose(matrix.values[:, 1:4].sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("lesions", [CHUNK - 1, CHUNK, 2 * CHUNK + 3])
def test_blocks_of_rows_join_up(lesions: int) -> None:
    table, _, _ = random_table(lesions)
    encoder = Encoder.fit(table, np.arange(100), None, NATIVE)
    rows = np.random.default_rng(0).permutation(lesions)
    whole = encoder.transform(table).values
    np.testing.assert_array_equal(whole[:, 0], table.frame["size"].to_numpy())
    np.testing.assert_array_equal(encoder.transform(table, rows).values, whole[rows])


@pytest.mark.parametrize(
    "recipe", [FeatureRecipe(target_encoding=True, scale="standard"), FeatureRecipe(impute="none"), NATIVE]
)
def test_stored_as_json(recipe: FeatureRecipe, tmp_path: Path, cohort_of: Callable[..., Cohort]) -> None:
    cohort = cohort_of((5, 20, 30), missing=0.1)
    table = build(cohort, recipe)
    encoder = Encoder.fit(table, np.arange(40), cohort.target, recipe)
    write_json(tmp_path / "encoder.json", encoder.to_json())
    again = Encoder.from_json(read_json(tmp_path / "encoder.json"))
    assert again == encoder
    np.testing.assert_array_equal(again.transform(table).values, encoder.transform(table).values)


@pytest.mark.parametrize("broken", [{}, {"features": 3}, [], json.loads('{"features": [{"name": "a"}]}')])
def test_foreign_json_is_refused(broken: object) -> None:
    with pytest.raises(DataError, match="not a stored encoder"):
        Encoder.from_json(broken)  # type: ignore[arg-type]


def test_another_table_is_refused_by_its_features() -> None:
    encoder = Encoder.fit(SMALL, TRAINING, None, FeatureRecipe())
    other = FeatureTable(SMALL.frame, (*SMALL.features[:2], Feature("hue", "published", "hue")))
    with pytest.raises(DataError, match=r"missing score \(1\); unknown hue \(1\)"):
        encoder.transform(other)
    with pytest.raises(DataError, match="order or kind"):
        encoder.transform(FeatureTable(SMALL.frame, SMALL.features[::-1]))


def test_impossible_encodings_are_refused() -> None:
    with pytest.raises(RecipeError, match="target encoding needs the training labels"):
        Encoder.fit(SMALL, TRAINING, None, FeatureRecipe(set="simple"))
    with pytest.raises(DataError, match="no training lesion"):
        Encoder.fit(SMALL, np.array([], np.int64), None, FeatureRecipe())
    names = FeatureTable(
        pl.DataFrame({"lesion_id": [str(i) for i in range(300)], "name": [str(i) for i in range(300)]}),
        (Feature("name", "published", "name", kind="category"),),
    )
    with pytest.raises(RecipeError, match="column name has 300 categories"):
        Encoder.fit(names, np.arange(300), None, FeatureRecipe())
    with pytest.raises(RecipeError, match="leaves no column"):
        Encoder.fit(names, np.arange(300), None, FeatureRecipe(categories="none"))


def test_fit_transform_equals_transform_without_target_encoding() -> None:
    encoder, matrix = Encoder.fit_transform(SMALL, TRAINING, None, NATIVE)
    np.testing.assert_array_equal(matrix.values, encoder.transform(SMALL, TRAINING).values)


def test_features_without_a_category_are_encoded(cohort_of: Callable[..., Cohort]) -> None:
    cohort = cohort_of()
    recipe = FeatureRecipe(families=("size",))
    table = build(cohort, recipe)
    _, matrix = Encoder.fit_transform(table, np.arange(len(table.frame)), cohort.target, recipe)
    assert matrix.names == table.names
