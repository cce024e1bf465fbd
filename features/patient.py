"""Features of a lesion among the other lesions of its patient: the "ugly duckling" families.

All statistics are of one patient's rows alone and use no label. z = (x - mean) / (sd + epsilon), with the sample sd; a
group of one lesion has no sd and gives 0. A missing number stays missing and does not enter its group's statistics.
Rows are sorted by patient (`features.source`), where polars groups without hashing.
"""

from typing import TYPE_CHECKING

import polars as pl

from features.columns import AREA, PATIENT_CONSTANT
from features.source import PATIENT, PLACES, Feature, Made, Source

if TYPE_CHECKING:
    from features.recipe import FeatureRecipe

NORMAL_FROM_MEDIAN_DEVIATION = 1.4826
"""sd / median absolute deviation of a normal distribution."""
NORMAL_FROM_MEAN_DEVIATION = 1.2533
"""sd / mean absolute deviation of a normal distribution (Iglewicz and Hoaglin 1993, for a median deviation of 0)."""


def z_score(column: str, key: str, epsilon: float) -> pl.Expr:
    """Deviation from the group's mean in its standard deviations; 0 where the group has one value."""
    value = pl.col(column)
    return (value - value.mean().over(key)) / (value.std().over(key).fill_null(0.0) + epsilon)


def compared(source: Source, recipe: "FeatureRecipe") -> list[str]:
    """Published numbers that are compared between the lesions of a patient."""
    wanted = recipe.compared_columns or source.numbers
    return [name for name in wanted if name not in PATIENT_CONSTANT and name in source.numbers]


def patient_z(source: Source, recipe: "FeatureRecipe") -> list[Made]:
    """z-score among all lesions of the patient, of published numbers and of the numbers made from one lesion."""
    published = [name for name in source.numbers if name not in PATIENT_CONSTANT]
    return z_family(source, "patient_z", PATIENT, "patient", [*published, *(f.name for f in source.derived)], recipe)


def location_z(source: Source, recipe: "FeatureRecipe") -> list[Made]:
    """z-score among the patient's lesions on the same fine body part."""
    key = PLACES["location"]
    return z_family(source, "location_z", key, "patient and location", compared(source, recipe), recipe)


def simple_location_z(source: Source, recipe: "FeatureRecipe") -> list[Made]:
    """z-score among the patient's lesions on the same coarse body part."""
    key = PLACES["simple_location"]
    return z_family(source, "simple_location_z", key, "patient and simple location", compared(source, recipe), recipe)


def site_z(source: Source, recipe: "FeatureRecipe") -> list[Made]:
    """z-score among the patient's lesions at the same anatomic site."""
    return z_family(source, "site_z", PLACES["site"], "patient and site", compared(source, recipe), recipe)


def z_family(
    source: Source, family: str, key: str, among: str, columns: list[str], recipe: "FeatureRecipe"
) -> list[Made]:
    """z-scores of several columns within one kind of group; none where the data lack the place."""
    if not source.has(key):
        return []
    return [
        Made(
            Feature(f"{name}_{family}", family, f"({name} - mean) / (sd + {recipe.epsilon:g}) by {among}", "sd"),
            z_score(name, key, recipe.epsilon),
        )
        for name in columns
    ]


def patient_rank(source: Source, recipe: "FeatureRecipe") -> list[Made]:
    """Share of the patient's lesions below, ties counted half: 0.5 for a single lesion."""

    def rank(name: str) -> pl.Expr:
        value = pl.col(name)
        return (value.rank("average").over(PATIENT) - 0.5) / value.count().over(PATIENT)

    return [
        Made(
            Feature(f"{name}_patient_rank", "patient_rank", f"(rank of {name} in patient - 0.5) / lesions", "share"),
            rank(name),
        )
        for name in compared(source, recipe)
    ]


def patient_robust_z(source: Source, recipe: "FeatureRecipe") -> list[Made]:
    """Deviation from the patient's median in robust standard deviations, unmoved by the outliers it looks for.

    Where more than half of the values are equal the median deviation is 0; the mean deviation then takes its place.
    """

    def robust(name: str) -> pl.Expr:
        value = pl.col(name)
        deviation = (value - value.median()).abs()
        median_deviation, mean_deviation = deviation.median().over(PATIENT), deviation.mean().over(PATIENT)
        spread = (
            pl.when(median_deviation > 0)
            .then(NORMAL_FROM_MEDIAN_DEVIATION * median_deviation)
            .otherwise(NORMAL_FROM_MEAN_DEVIATION * mean_deviation)
        )
        return (value - value.median().over(PATIENT)) / (spread + recipe.epsilon)

    formula = "({0} - median) / (1.4826 median|{0} - median| + {1:g}) by patient"
    return [
        Made(
            Feature(f"{name}_patient_robust_z", "patient_robust_z", formula.format(name, recipe.epsilon), "sd"),
            robust(name),
        )
        for name in compared(source, recipe)
    ]


def outlying(source: Source, recipe: "FeatureRecipe") -> list[Made]:
    """In how many columns, and how far, a lesion stands out of its patient; missing columns do not count."""
    columns = compared(source, recipe)
    if not columns:
        return []
    distances = source.frame.select(z_score(name, PATIENT, recipe.epsilon).abs() for name in columns)
    names = pl.all()
    frame = distances.select(
        outlying_columns=pl.sum_horizontal(names > recipe.outlier_z).cast(pl.Float64),
        outlying_share=pl.mean_horizontal((names > recipe.outlier_z).cast(pl.Float64)),
        z_max=pl.max_horizontal(names),
        z_mean=pl.mean_horizontal(names),
        z_square=pl.mean_horizontal(names**2),
    ).with_columns(z_spread=(pl.col("z_square") - pl.col("z_mean") ** 2).clip(0.0).sqrt())
    return [
        Made(Feature(name, "outlying", f"{formula} over {len(columns)} columns by patient", unit), frame[name])
        for name, formula, unit in (
            ("outlying_columns", f"number of |z| > {recipe.outlier_z:g}", "columns"),
            ("outlying_share", f"share of |z| > {recipe.outlier_z:g}", "share"),
            ("z_max", "max |z|", "sd"),
            ("z_mean", "mean |z|", "sd"),
            ("z_spread", "standard deviation of |z|", "sd"),
        )
    ]


def counts(source: Source, recipe: "FeatureRecipe") -> list[Made]:
    """How many lesions and how much lesion area, in the patient and at the place, and the lesion's part of it."""
    keys = {"patient": PATIENT} | {place: key for place, key in PLACES.items() if source.has(key)}
    area = pl.col(AREA)
    made: list[Made] = []
    for place, key in keys.items():
        lesions, total = pl.len().over(key).cast(pl.Float64), area.sum().over(key)
        made.append(Made(Feature(f"{place}_lesions", "counts", f"lesions by {place}", "lesions"), lesions))
        if place != "patient":
            share = lesions / pl.len().over(PATIENT)
            text = f"lesions by {place} / lesions of the patient"
            made.append(Made(Feature(f"{place}_lesion_share", "counts", text, "share"), share))
        made.append(Made(Feature(f"{place}_area", "counts", f"sum of area by {place}", "mm2"), total))
        part = area / pl.when(total > 0).then(total)
        text = f"area / sum of area by {place}"
        made.append(Made(Feature(f"{place}_area_share", "counts", text, "share"), part))
    return made
