"""Features of a table larger than memory: batch by batch, one Parquet file each.

Families look at one patient's lesions at a time, so a batch of whole patients gives bit for bit what the whole table
gives. A family that compares patients is refused.
"""

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from data.cohort import Cohort
from data.errors import RecipeError
from data.progress import Progress, silent
from features.recipe import FeatureRecipe
from features.source import Feature
from features.table import LESION, build


def build_in_batches(
    cohorts: Iterable[Cohort],
    recipe: FeatureRecipe,
    folder: Path,
    image_scores: pl.LazyFrame | None = None,
    progress: Progress = silent,
) -> list[Path]:
    """Write the features of each batch as `part-00000.parquet` and so on; each reads as a `FeatureTable`.

    `image_scores` is scanned once per batch for the rows of its lesions.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    first: tuple[Feature, ...] = ()
    for number, cohort in enumerate(cohorts):
        table = build(cohort, recipe, scores_of(cohort, image_scores))
        refuse_transductive(table.features)
        first = first or table.features
        if table.features != first:
            raise ValueError("batches of one table have one set of features")
        paths.append(folder / f"part-{number:05d}.parquet")
        table.write(paths[-1])
        progress(number + 1, 0, rows=cohort.table.height)
    return paths


def scores_of(cohort: Cohort, image_scores: pl.LazyFrame | None) -> pl.DataFrame | None:
    """The image scores of a batch's lesions."""
    if image_scores is None:
        return None
    ids = cohort.table.lazy().select(pl.col(cohort.task.lesion).cast(pl.String).alias(LESION))
    return image_scores.join(ids, on=LESION, how="semi").collect(engine="streaming")


def refuse_transductive(features: Iterable[Feature]) -> None:
    """Refuse what would depend on which patients happen to share a batch."""
    names = [feature.name for feature in features if feature.transductive]
    if names:
        raise RecipeError(
            f"features: {names[0]} compares patients with each other, so it cannot be made in batches; leave its "
            "family out or make the features of the whole table at once"
        )
