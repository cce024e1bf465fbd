"""Print the engineered features of a recipe: its families, or every feature with formula, unit and missing share."""

import polars as pl

from features.describe import describe, describe_families
from features.encode import compared
from features.unexpected import FEWEST_NUMBERS, MOST_NUMBERS
from pipeline.inputs import Inputs
from pipeline.runtime import Runtime
from pipeline.stage_two import features_of, image_scores


def print_families(inputs: Inputs, runtime: Runtime) -> None:
    """One line per family; needs no data."""
    for family, made, what in describe_families(inputs.run.recipe.features).iter_rows():
        runtime.display.say(f"{family:22s} {'' if made else '(not in this recipe) '}{what}")
    runtime.display.say("every feature: fusionnetx features --describe")


def print_features(inputs: Inputs, runtime: Runtime) -> None:
    """Build the training table's features and print a line for each; image scores are taken when stage one is done."""
    scores = None
    if (inputs.run.folder / "oof" / "oof.parquet").is_file():
        scores = image_scores(inputs, "oof.parquet")
    elif inputs.run.recipe.image_models:
        runtime.display.warn("stage one has not run, so features of image scores are left out (make oof)")
    table = features_of(
        inputs.run.recipe.features,
        runtime.display,
        inputs.data.train,
        scores,
        f"{len(inputs.data.train.ids):,} lesions",
    )
    rows = describe(table)
    width = max(map(len, table.names))
    for (family,), of_family in rows.group_by(["family"], maintain_order=True):
        runtime.display.say(f"{family} ({of_family.height})", style="bold")
        for name, formula, unit, missing in of_family.select("feature", "formula", "unit", "missing_share").iter_rows():
            runtime.display.say(f"  {name:{width}s}  {missing:7.2%} missing  [{unit}]  {formula}")
    images = rows.select(pl.col("image").sum()).item()
    runtime.display.say(f"{rows.height} features, {images} of them of image scores")
    numbers = len(compared(table))
    if inputs.run.recipe.features.adds_unexpected and FEWEST_NUMBERS <= numbers <= MOST_NUMBERS:
        runtime.display.say(
            f"each fold adds {numbers + 1} of its own: how far each of {numbers} numbers lies from what the others let "
            "expect, and one distance (features.unexpected)"
        )
