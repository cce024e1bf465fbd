"""From a cohort to the families' source: forbidden columns dropped, numbers cleaned, scores joined, rows sorted.

Everything a user can get wrong about the inputs of the feature stage is refused here, by name.
"""

import numpy as np
import polars as pl

from data.cohort import Cohort
from data.errors import DataError, RecipeError
from data.tables.near import did_you_mean
from features.columns import FORBIDDEN, KNOWN, LOCATION, LOCATION_SIMPLE, SITE
from features.recipe import FeatureRecipe
from features.source import PATIENT, PLACES, Source

LESION = "lesion_id"
PLACE_COLUMNS = {"location": LOCATION, "simple_location": LOCATION_SIMPLE, "site": SITE}


def arrange(cohort: Cohort, recipe: FeatureRecipe, image_scores: pl.DataFrame | None) -> tuple[Source, pl.Series]:
    """The source of the families, and for each row of the cohort its row in the source."""
    task = cohort.task
    refuse_forbidden(cohort, recipe)
    used = used_columns(cohort, recipe)
    patient = code_of(cohort.table[task.group])
    order = patient_order(patient, cohort.table[task.lesion])
    numbers = tuple(name for name in used if column_kind(cohort.table, name) == "number")
    categories = tuple(name for name in used if name not in numbers)
    frame = cohort.table.select(
        *(clean(name) for name in numbers),
        *(pl.col(name).cast(pl.String).cast(pl.Categorical) for name in categories),
        patient.alias(PATIENT),
    )[order]
    frame = frame.with_columns(frame[PATIENT].rle_id().set_sorted())
    frame = frame.with_columns(place_keys(frame))
    scores = () if image_scores is None else score_columns(image_scores)
    if image_scores is not None:
        joined = join_scores(cohort, image_scores)
        frame = pl.concat([frame, joined[order]], how="horizontal")
    back = np.empty(len(order), np.uint32)
    back[order.to_numpy()] = np.arange(len(order), dtype=np.uint32)
    return Source(frame.rechunk(), numbers, categories, scores), pl.Series(back)


def refuse_forbidden(cohort: Cohort, recipe: FeatureRecipe) -> None:
    """Refuse a recipe that asks for a column known only where the answer is known, or that names rows and patients."""
    task = cohort.task
    asked = (*recipe.extra_columns, *recipe.compared_columns, *recipe.outlier_columns)
    forbidden = cohort.forbidden | FORBIDDEN | {task.target}
    leaking = sorted({name for name in asked if name in forbidden})
    if leaking:
        raise RecipeError(
            f"features: {', '.join(leaking)} exist only where the diagnosis is known, so they are never a feature; "
            "remove them from the recipe"
        )
    for name in (task.lesion, task.group):
        if name in asked:
            raise RecipeError(
                f"features: {name} names rows or patients and is never a feature; remove it from the recipe"
            )


def used_columns(cohort: Cohort, recipe: FeatureRecipe) -> list[str]:
    """Columns the families may see, in the table's order."""
    task, present = cohort.task, cohort.table.columns
    for name in recipe.extra_columns:
        if name not in present:
            hint = did_you_mean(name, present, 0.5)
            raise RecipeError(f"features.extra_columns: the data have no column {name!r}{hint}")
    hidden = {task.lesion, task.group, task.target, *cohort.forbidden, *FORBIDDEN, *recipe.unused_columns}
    wanted = {*KNOWN, *recipe.extra_columns}
    return [name for name in present if name in wanted and name not in hidden]


def column_kind(table: pl.DataFrame, name: str) -> str:
    """Number or category: as known, else by the column's type."""
    kind = table.schema[name]
    numeric = kind.is_numeric() or kind in (pl.Boolean, pl.Null)
    if name not in KNOWN:
        return "number" if numeric else "category"
    if KNOWN[name].kind == "number" and not numeric:
        raise DataError(f"column {name} should hold numbers and holds {kind}; read the table with its reader")
    return KNOWN[name].kind


def code_of(names: pl.Series) -> pl.Series:
    """Whole numbers in place of names: a tenth of the cost to sort, move and compare."""
    return names.cast(pl.String).cast(pl.Categorical).to_physical()


def patient_order(patient: pl.Series, lesion: pl.Series) -> pl.Series:
    """Rows with each patient's lesions together, in order of lesion id whatever order they came in."""
    by_lesion = lesion.cast(pl.String).arg_sort()
    by_patient = np.argsort(patient[by_lesion].to_numpy(), kind="stable")
    return by_lesion[by_patient]


def clean(name: str) -> pl.Expr:
    """A number as Float64, missing where it is not finite."""
    number = pl.col(name).cast(pl.Float64)
    return pl.when(number.is_finite()).then(number).alias(name)


def place_keys(frame: pl.DataFrame) -> list[pl.Expr]:
    """One integer key per patient and place; 0 stands for a missing place."""
    keys = []
    for place, column in PLACE_COLUMNS.items():
        if column in frame.columns:
            code = pl.col(column).to_physical().cast(pl.UInt64)
            keys.append((pl.col(PATIENT).cast(pl.UInt64) * 2**32 + (code + 1).fill_null(0)).alias(PLACES[place]))
    return keys


def score_columns(image_scores: pl.DataFrame) -> tuple[str, ...]:
    """The image-model columns of a score table."""
    if LESION not in image_scores.columns:
        raise DataError(f"image scores: there is no column {LESION!r}; it names the lesion of each probability")
    return tuple(name for name in image_scores.columns if name not in (LESION, "fold"))


def join_scores(cohort: Cohort, image_scores: pl.DataFrame) -> pl.DataFrame:
    """Score columns in the cohort's order; every lesion once, every probability within 0 and 1."""
    names = score_columns(image_scores)
    problems = []
    doubled = image_scores.filter(pl.col(LESION).is_duplicated())[LESION].unique().sort()
    if len(doubled):
        problems.append(f"{len(doubled)} lesions more than once ({examples(doubled)})")
    ids = cohort.table.select(pl.col(cohort.task.lesion).cast(pl.String).alias(LESION))
    missing = ids.join(image_scores, on=LESION, how="anti")[LESION]
    if len(missing):
        problems.append(f"no row for {len(missing)} lesions of the cohort ({examples(missing)})")
    for name in names:
        if not image_scores.schema[name].is_numeric():
            problems.append(f"{name} holds {image_scores.schema[name]} instead of probabilities")
            continue
        value = pl.col(name).cast(pl.Float64)
        wrong = image_scores.filter(value.is_nan() | (value < 0) | (value > 1))
        if len(wrong):
            problems.append(f"{name} is no probability for {len(wrong)} lesions ({examples(wrong[LESION])})")
    if problems:
        raise DataError(
            "image scores: " + "; ".join(problems) + "; give each lesion one row, with null where it has no image"
        )
    return ids.join(
        image_scores.select(LESION, pl.col(names).cast(pl.Float64)), on=LESION, how="left", maintain_order="left"
    ).drop(LESION)


def examples(ids: pl.Series) -> str:
    """Up to three ids."""
    shown = ", ".join(ids.cast(pl.String).head(3).to_list())
    return shown + (", ..." if len(ids) > 3 else "")
