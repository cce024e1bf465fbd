"""Print the engineered features of a recipe: its families, or every feature with formula, unit and missing share."""

import polars as pl

from features.describe import describe, describe_families
from pipeline.steps.features import features_of
from pipeline.steps.oof import image_scores
from pipeline.workspace import Workspace


def print_families(space: Workspace) -> None:
    """One line per family; needs no data."""
    for family, made, what in describe_families(space.recipe.features).iter_rows():
        space.display.say(f"{family:22s} {'' if made else '(not in this recipe) '}{what}")
    space.display.say("every feature: fusionnetx features --describe")


def print_features(space: Workspace) -> None:
    """Build the training table's features and print a line for each; image scores are taken when stage one is done."""
    scores = None
    if (space.run_dir / "oof" / "oof.parquet").is_file():
        scores = image_scores(space, "oof.parquet")
    elif space.recipe.image_models:
        space.display.warn("stage one has not run, so features of image scores are left out (make oof)")
    table = features_of(space, space.data.train, scores, f"{len(space.data.train.ids):,} lesions")
    rows = describe(table)
    width = max(map(len, table.names))
    for (family,), of_family in rows.group_by(["family"], maintain_order=True):
        space.display.say(f"{family} ({of_family.height})", style="bold")
        for name, formula, unit, missing in of_family.select("feature", "formula", "unit", "missing_share").iter_rows():
            space.display.say(f"  {name:{width}s}  {missing:7.2%} missing  [{unit}]  {formula}")
    images = rows.select(pl.col("image").sum()).item()
    space.display.say(f"{rows.height} features, {images} of them of image scores")
