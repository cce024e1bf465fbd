"""FeatureTable: every engineered column of a cohort with what it means, and `build`, which makes it.

A feature table is a function of the cohort's published columns, the recipe and the image scores alone: no label,
nothing fitted. What has to be fitted (imputation, category lists, target encoding) is `features.encode`.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import polars as pl

from data.cohort import Cohort
from data.errors import DataError, RecipeError
from data.files import atomic
from data.progress import Progress, silent
from data.tables.parquet import read_parquet
from features.arrange import arrange
from features.families.registry import FAMILIES
from features.recipe import FeatureRecipe
from features.source import Feature, Made, Source

__all__ = ["Feature", "FeatureTable", "build"]

LESION = "lesion_id"
AT_ONCE = 16
"""Columns that are brought into their final form together."""


@dataclass(frozen=True)
class FeatureTable:
    """Engineered columns of every lesion of a cohort, in the cohort's order."""

    frame: pl.DataFrame
    """lesion_id, then one column per feature: Float32 (missing = null, never NaN or infinite) or String (category)."""
    features: tuple[Feature, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names in column order."""
        return tuple(feature.name for feature in self.features)

    def write(self, path: Path) -> None:
        """Write one Parquet file that holds the columns and what they mean."""
        meaning = json.dumps([asdict(feature) for feature in self.features])
        with atomic(path) as temporary:
            self.frame.write_parquet(temporary, metadata={"features": meaning})

    @classmethod
    def read(cls, path: Path) -> "FeatureTable":
        """Read what `write` wrote."""
        frame, meaning = read_parquet(path, "Delete it and make the features again.")
        try:
            return cls(frame, tuple(Feature(**feature) for feature in json.loads(meaning["features"])))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{path} is not a whole feature table ({error}); delete it and make the features again"
            ) from error


def build(
    cohort: Cohort, recipe: FeatureRecipe, image_scores: pl.DataFrame | None = None, progress: Progress = silent
) -> FeatureTable:
    """Make the features of a cohort.

    `image_scores`: lesion_id and one probability column per image model; out of fold for training lesions, means of the
    fold models for test lesions; null where a lesion has no image.
    """
    source, back = arrange(cohort, recipe, image_scores)
    columns: list[pl.DataFrame] = []
    features: list[Feature] = []
    for step, name in enumerate(recipe.chosen, start=1):
        family = FAMILIES[name]
        made = available(source, family.make(source, recipe))
        features += [replace(one.feature, transductive=family.looks_at == "table") for one in made]
        refuse_doubled(features)
        if family.lesion_alone:
            source = widen(source, made)
        columns.append(finish(source.frame, made, back))
        progress(step, len(recipe.chosen), features=len(features))
    if not features:
        raise RecipeError(
            f"the feature families {', '.join(recipe.chosen) or '(none)'} make no feature of this cohort's columns; "
            "name columns in extra_columns or choose other families"
        )
    ids = cohort.table.select(pl.col(cohort.task.lesion).cast(pl.String).alias(LESION))
    return FeatureTable(pl.concat([ids, *columns], how="horizontal"), tuple(features))


def available(source: Source, made: Sequence[Made]) -> list[Made]:
    """Features whose columns the data have."""
    return [
        one
        for one in made
        if isinstance(one.value, pl.Series) or set(one.value.meta.root_names()) <= set(source.frame.columns)
    ]


def widen(source: Source, made: Sequence[Made]) -> Source:
    """The source with the numbers of a one-lesion family, for later families to compare."""
    frame = source.frame.with_columns(finite(one.value, pl.Float32).alias(one.feature.name) for one in made)
    return replace(source, frame=frame, derived=(*source.derived, *(one.feature for one in made)))


def finish(frame: pl.DataFrame, made: Sequence[Made], back: pl.Series) -> pl.DataFrame:
    """The columns of one family as they leave: finite Float32, String or missing, in the cohort's order.

    Some at a time, because each passes through several forms.
    """
    parts = [made[start : start + AT_ONCE] for start in range(0, len(made), AT_ONCE)]
    return pl.concat([finish_some(frame, part, back) for part in parts], how="horizontal") if parts else pl.DataFrame()


def finish_some(frame: pl.DataFrame, made: Sequence[Made], back: pl.Series) -> pl.DataFrame:
    """The same for a few columns."""
    names = [one.feature.name for one in made]
    numbers = [one.feature.name for one in made if one.feature.kind == "number"]
    # Eager on purpose: the lazy engine takes three times as long over window expressions on sorted groups.
    values = frame.select(
        (pl.lit(one.value) if isinstance(one.value, pl.Series) else one.value).alias(one.feature.name) for one in made
    )
    return values.with_columns(pl.col(numbers).cast(pl.Float32)).select(
        finite(pl.col(name), pl.Float32).gather(back) if name in numbers else pl.col(name).gather(back).cast(pl.String)
        for name in names
    )


def finite(value: pl.Expr | pl.Series, kind: type[pl.Float32] | type[pl.Float64]) -> pl.Expr:
    """The value as a float, missing where it is not finite."""
    number = (pl.lit(value) if isinstance(value, pl.Series) else value).cast(kind)
    return pl.when(number.is_finite()).then(number)


def refuse_doubled(features: Sequence[Feature]) -> None:
    """Refuse two features of one name, which a column or an image model of an unlucky name can cause."""
    doubled = [name for name, count in Counter(feature.name for feature in features).items() if count > 1]
    if doubled:
        raise RecipeError(f"two features are named {doubled[0]!r}; rename the column or the image model it comes from")
