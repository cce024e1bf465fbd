import json

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from data.cohort import Cohort, Task
from data.errors import DataError, RecipeError
from features.vector import VectorEncoder, refuse_columns

COLUMNS = ("age", "sex", "site", "size")


def lesions(count: int = 200, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)

    def with_gaps(values: np.ndarray, share: float) -> list[object]:
        return [None if rng.random() < share else value for value in values.tolist()]

    return pl.DataFrame(
        {
            "lesion": [f"L{i}" for i in range(count)],
            "age": pl.Series(with_gaps(rng.integers(4, 18, count) * 5, 0.1), dtype=pl.Int64),
            "sex": with_gaps(rng.choice(["male", "female"], count, p=[0.6, 0.4]), 0.2),
            "site": with_gaps(rng.choice(["back", "arm", "leg"], count), 0.1),
            "size": rng.lognormal(1.0, 0.6, count),
        }
    )


def test_vectors_are_those_of_scikit_learns_transformers():
    frame, rows = lesions(), np.arange(0, 200, 2)
    numbers = frame.select(pl.col("age", "size").cast(pl.Float64).fill_null(float("nan"))).to_numpy()
    texts = frame.select("sex", "site").to_numpy().astype(object)
    number = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    category = make_pipeline(
        SimpleImputer(missing_values=None, strategy="most_frequent"),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    )
    expected = [part.fit(values[rows]).transform(values) for part, values in ((number, numbers), (category, texts))]
    encoder = VectorEncoder.fit(frame, rows, ("age", "size", "sex", "site"), missing_flags=False)
    found = encoder.transform(frame)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.hstack(expected), atol=1e-6)
    assert encoder.inputs == ("age", "size", "sex = female", "sex = male", "site = arm", "site = back", "site = leg")


def test_only_training_rows_are_learned_from():
    frame, rows = lesions(), np.arange(100)
    others = frame.with_row_index().with_columns(
        age=pl.when(pl.col("index") < 100).then(pl.col("age")).otherwise(1000),
        sex=pl.when(pl.col("index") < 100).then(pl.col("sex")).otherwise(pl.lit("unheard of")),
    )
    one, other = (VectorEncoder.fit(table, rows, COLUMNS) for table in (frame, others))
    assert one == other


def test_a_column_with_gaps_has_a_flag_and_one_without_has_none():
    frame = lesions()
    encoder = VectorEncoder.fit(frame, np.arange(200), COLUMNS)
    assert encoder.inputs[:2] == ("age", "age missing")
    assert encoder.inputs[-1] == "size"
    found = encoder.transform(frame)
    np.testing.assert_array_equal(found[:, 1] == 1, frame["age"].is_null().to_numpy())
    assert VectorEncoder.fit(frame, np.arange(200), COLUMNS, missing_flags=False).inputs[1] != "age missing"


def test_unseen_categories_are_zeros_and_missing_ones_the_mode_unless_left_open():
    frame = pl.DataFrame({"site": ["back", "arm", "back", None], "sex": ["f", "m", "m", None]})
    new = pl.DataFrame({"site": ["knee", None, "arm"], "sex": ["x", None, "f"]})
    found = VectorEncoder.fit(frame, np.arange(4), ("site", "sex"), unfilled=("site",)).transform(new)
    np.testing.assert_array_equal(found, [[0, 0, 0, 0], [0, 0, 0, 1], [1, 0, 1, 0]])


def test_groups_and_positions_follow_the_columns():
    encoder = VectorEncoder.fit(lesions(), np.arange(200), COLUMNS)
    assert encoder.groups == ((0, 1), (2, 3), (4, 5, 6), (7,))
    assert encoder.positions_of("site") == (4, 5, 6)
    with pytest.raises(RecipeError, match="column age holds numbers"):
        encoder.positions_of("age")


@given(
    values=st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=2, max_size=20),
    texts=st.lists(st.one_of(st.none(), st.sampled_from(["a", "b", "c"])), min_size=2, max_size=20),
    new=st.lists(st.tuples(st.one_of(st.none(), st.floats()), st.one_of(st.none(), st.text())), max_size=5),
)
@example(values=[None, 0.0, 0.5], texts=[None, None, "a"], new=[(3.6695257454308166e307, None), (-1.7e308, "")])
@settings(max_examples=50)
def test_every_table_gives_finite_numbers_and_a_stored_encoder_the_same_ones(values, texts, new):
    count = min(len(values), len(texts))
    frame = pl.DataFrame({"x": values[:count], "c": texts[:count]}, schema={"x": pl.Float64, "c": pl.String})
    assume(all(frame[name].null_count() < count for name in frame.columns))
    encoder = VectorEncoder.fit(frame, np.arange(count), ("x", "c"))
    other = pl.DataFrame(new, schema={"x": pl.Float64, "c": pl.String}, orient="row")
    stored = VectorEncoder.from_json(json.loads(json.dumps(encoder.to_json(), allow_nan=False)))
    assert stored == encoder
    for table in (frame, other):
        found = encoder.transform(table)
        assert found.shape == (len(table), len(encoder.inputs))
        assert np.isfinite(found[:, 1:]).all()
        np.testing.assert_array_equal(stored.transform(table), found)


def test_training_numbers_too_large_for_a_mean_are_named():
    frame = pl.DataFrame({"x": [1.7e308, -1.7e308, 1.7e308]})
    with pytest.raises(DataError, match=r"column x holds numbers up to 1\.7e\+308"):
        VectorEncoder.fit(frame, np.arange(3), ("x",))


def test_a_constant_column_becomes_zero():
    frame = pl.DataFrame({"x": [0.1] * 7})
    assert not VectorEncoder.fit(frame, np.arange(7), ("x",)).transform(frame).any()


def test_columns_that_cannot_be_used_are_named():
    frame = lesions(400)
    with pytest.raises(DataError, match=r"no column sexx \(it has sex\)"):
        VectorEncoder.fit(frame, np.arange(10), ("age", "sexx"))
    with pytest.raises(DataError, match="no column size"):
        VectorEncoder.fit(frame, np.arange(10), COLUMNS).transform(frame.drop("size"))
    with pytest.raises(DataError, match="column age has no value among the 10 training lesions"):
        VectorEncoder.fit(frame.with_columns(age=pl.lit(None, pl.Float64)), np.arange(10), COLUMNS)
    with pytest.raises(RecipeError, match="column lesion has 400 categories"):
        VectorEncoder.fit(frame, np.arange(400), ("lesion",))
    with pytest.raises(DataError, match="not a stored metadata encoder"):
        VectorEncoder.from_json({"numbers": []})


def test_columns_that_a_network_must_not_be_told_are_refused_with_the_reason():
    task = Task(lesion="lesion", group="patient", target="target")
    table = lesions().with_columns(patient=pl.lit("P"), target=pl.lit(0), stage=pl.lit("II"))
    cohort = Cohort(table, task, labelled=True, forbidden=frozenset({"target", "stage"}))
    refuse_columns(cohort, COLUMNS, "m")
    with pytest.raises(RecipeError) as caught:
        refuse_columns(cohort, ("age", "stage", "target", "patient", "lesion"), "m")
    for part in ("image model m", "stage (known only after", "target (the answer", "patient (the name", "lesion (the"):
        assert part in str(caught.value)
    with pytest.raises(DataError, match=r"image model m: metadata\.columns: the table has no column agee"):
        refuse_columns(cohort, ("agee",), "m")


def test_gaps_become_the_mean_and_numbers_run_from_0_to_1_where_asked() -> None:
    frame = pl.DataFrame({"age": [20.0, None, 40.0, 90.0, 1000.0]})
    rows = np.arange(4)
    encoder = VectorEncoder.fit(frame, rows, ["age"], missing_flags=False, impute="mean", scale="minmax")
    np.testing.assert_allclose(encoder.transform(frame)[:4, 0], [0, 30 / 70, 20 / 70, 1], atol=1e-6)
    assert VectorEncoder.from_json(encoder.to_json()) == encoder
    usual = VectorEncoder.fit(frame, rows, ["age"], missing_flags=False, impute="mean")
    filled = np.array([20, 50, 40, 90])
    np.testing.assert_allclose(usual.transform(frame)[:4, 0], (filled - filled.mean()) / filled.std(), atol=1e-6)


def test_components_are_those_of_scikit_learn_fitted_on_training_rows() -> None:
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(80, 3)) @ rng.normal(size=(3, 12)) + 0.1 * rng.normal(size=(80, 12))
    wide[3, 2] = np.nan
    frame = pl.DataFrame({f"g{i}": wide[:, i] for i in range(12)}).fill_nan(None)
    frame = frame.with_columns(sex=pl.Series(["a", "b"] * 40))
    rows, names = np.arange(60), [*frame.columns[:4], "sex", *frame.columns[4:12]]
    encoder = VectorEncoder.fit(frame, rows, names, components=3)
    found = encoder.transform(frame)
    plain = VectorEncoder.fit(frame, rows, names).transform(frame)
    scaled = np.delete(plain, [3, 5, 6], axis=1)
    expected = PCA(3).fit(scaled[rows]).transform(scaled)
    np.testing.assert_allclose(np.abs(found[:, :3]), np.abs(expected), atol=1e-4)
    np.testing.assert_array_equal(found[:, 3:], plain[:, [3, 5, 6]])
    assert encoder.inputs == ("component 1", "component 2", "component 3", "g2 missing", "sex = a", "sex = b")
    assert encoder.sources == ("components", "g2", "sex")
    assert encoder.groups == ((0, 1, 2), (3,), (4, 5))
    assert encoder.positions_of("sex") == (4, 5)
    again = VectorEncoder.from_json(json.loads(json.dumps(encoder.to_json())))
    np.testing.assert_array_equal(again.transform(frame), found)
    with pytest.raises(DataError, match=r"lower metadata\.components"):
        VectorEncoder.fit(frame, rows, names, components=13)
