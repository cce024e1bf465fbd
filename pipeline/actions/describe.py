"""Print the engineered features of a recipe: its families, or every feature with formula, unit and missing share."""

from pathlib import Path

import polars as pl

from data.errors import DataError, RecipeError
from data.files import remove_leftovers
from data.held import held_folder
from data.patient_batches import cut
from data.schemas.isic2024 import FORBIDDEN, TASK, TEST_SCHEMA
from features.batches import build_in_batches
from features.describe import describe, describe_families
from features.encode import compared
from features.unexpected import FEWEST_NUMBERS, MOST_NUMBERS
from pipeline.inputs import Inputs
from pipeline.recipe import Recipe
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


READER = "isic2024"
"""Its columns are known beforehand; a table must not be read to learn what it holds."""


def write_feature_files(recipe: Recipe, runtime: Runtime, table: Path, out: Path, rows_per_batch: int) -> list[Path]:
    """Write the features of `table` into the empty folder `out`, about so many rows at a time."""
    if recipe.data.reader != READER:
        raise RecipeError(
            f"features of a table in batches are for the columns of {READER}, not of {recipe.data.reader}"
        )
    if not table.is_file():
        raise DataError(f"table {table} does not exist")
    if out.is_dir():
        remove_leftovers(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} holds something already; name an empty folder, or one that is to be made")
    out.mkdir(parents=True, exist_ok=True)
    with held_folder(out / "batches") as folder:
        with runtime.display.task(f"cutting {table.name} by patient") as progress:
            batches = cut(
                table,
                folder,
                TEST_SCHEMA,
                TASK,
                rows_per_batch=rows_per_batch,
                labelled=False,
                forbidden=FORBIDDEN,
                progress=progress,
            )
        with runtime.display.task(f"features of {batches.rows:,} lesions") as progress:
            paths = build_in_batches(batches, recipe.features, out, progress=progress)
    runtime.display.say(f"wrote the features of {batches.rows:,} lesions to {len(paths)} files in {out}")
    return paths
