"""Features of a table that is larger than memory: batches of whole patients, a Parquet file each."""

from pathlib import Path

from data.errors import DataError, RecipeError
from data.files import remove_leftovers
from data.held import held_folder
from data.patient_batches import cut
from data.schemas.isic2024 import FORBIDDEN, TASK, TEST_SCHEMA
from features.batches import build_in_batches
from pipeline.recipe import Recipe
from pipeline.runtime import Runtime

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
