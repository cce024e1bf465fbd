"""The synthetic table beside the published one: close in every measured column, and shown as a table."""

import polars as pl

from benchmarks.synthetic_quartiles import as_markdown, compare
from data.synthetic.isic2024.cohort import draw_cohort
from data.synthetic.isic2024.recipe import SyntheticRecipe


def test_quartiles_follow_the_published_ones() -> None:
    train, _ = draw_cohort(SyntheticRecipe(lesions=40_000, test_lesions=8_000))
    compared = compare(train.table).filter(~pl.col("column").is_in(["mel_thick_mm", "age_approx"]))
    assert compared["gap"].max() < 0.25, compared.sort("gap").tail(3)
    assert as_markdown(compared).count("\n") == compared.height + 2
