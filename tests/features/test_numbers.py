import numpy as np
import polars as pl

from features.numbers import fit_medians, fit_scaling, plain_names
from features.recipe import FeatureRecipe

FRAME = pl.DataFrame(
    {"a": [1.0, None, 5.0, 3.0, 100.0], "b": [None] * 4 + [9.0], "c": [2.0] * 5},
    schema_overrides=dict.fromkeys("abc", pl.Float32),
)
ROWS = pl.Series([0, 1, 2, 3])


def test_medians_of_the_rows_alone() -> None:
    assert fit_medians(FRAME, ROWS, ["a", "b", "c"]) == {"a": 3.0, "b": 0.0, "c": 2.0}
    assert fit_medians(FRAME, ROWS, []) == {}


def test_scaling_after_imputation() -> None:
    medians = fit_medians(FRAME, ROWS, ["a", "b", "c"])
    filled = np.array([1, 3, 5, 3])
    standard = fit_scaling(FRAME, ROWS, medians, FeatureRecipe(scale="standard"))
    assert standard is not None
    np.testing.assert_allclose(standard["a"], (filled.mean(), 1 / filled.std()))
    assert standard["b"] == (0.0, 0.0)
    assert standard["c"] == (2.0, 0.0)
    minmax = fit_scaling(FRAME, ROWS, medians, FeatureRecipe(scale="minmax"))
    assert minmax is not None
    assert minmax["a"] == (1.0, 0.25)
    assert fit_scaling(FRAME, ROWS, medians, FeatureRecipe()) is None


def test_scaling_without_imputation_leaves_gaps_out() -> None:
    scaling = fit_scaling(FRAME, ROWS, {"a": 3.0, "b": 0.0}, FeatureRecipe(scale="standard", impute="none"))
    assert scaling is not None
    np.testing.assert_allclose(scaling["a"], (3.0, 1 / np.std([1, 5, 3])))
    assert scaling["b"] == (0.0, 0.0)


def test_plain_names_are_plain_and_unique() -> None:
    names = ["sex=male", "site=head/neck", "site=head,neck", "a b", "größe", "Größe (mm)"]
    assert plain_names(names) == ("sex=male", "site=head_neck", "site=head_neck_2", "a_b", "größe", "Größe_mm_")


def test_names_of_earlier_encoders_stay_what_their_boosters_call_them() -> None:
    assert plain_names(["Größe (mm)", "größe"], letters=False) == ("Gr_e_mm_", "gr_e")
