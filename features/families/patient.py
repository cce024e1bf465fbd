"""Features of a lesion among the other lesions of its patient: the "ugly duckling" families.

All statistics are of one patient's rows alone and use no label. z = (x - mean) / (sd + epsilon), with the sample sd; a
group of one lesion has no sd and gives 0. A missing number stays missing and does not enter its group's statistics.
Rows are sorted by patient (`features.source`): polars takes the patients as slices of the frame.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import polars as pl

from features.columns import AREA, PATIENT_CONSTANT
from features.families.family import COMPACT, Settings, family
from features.families.neighbours import processors
from features.families.sorted_patients import Patients, sorted_columns
from features.families.standardised import keep_patient_z, patient_sizes, patient_z_scores
from features.groups import z_scores
from features.source import PATIENT, PLACES, Feature, Made, Source

Float32 = npt.NDArray[np.float32]
SORTED_TOGETHER = 8
"""Columns whose sorted values are in memory at once."""


def compared(source: Source, settings: Settings) -> list[str]:
    """Published numbers that are compared between the lesions of a patient."""
    wanted = settings.compared_columns or source.numbers
    return [name for name in wanted if name not in PATIENT_CONSTANT and name in source.numbers]


@family(place=60, sets=COMPACT, looks_at="patient")
def patient_z(source: Source, settings: Settings) -> list[Made]:
    """z-score among all lesions of the patient, of published numbers and of the numbers made from one lesion."""
    published = [name for name in source.numbers if name not in PATIENT_CONSTANT]
    columns = [*published, *(feature.name for feature in source.derived)]
    made = z_family(source, "patient_z", PATIENT, "patient", columns, settings)
    keep_patient_z(source, published, made)
    return made


@family(place=70, looks_at="patient")
def location_z(source: Source, settings: Settings) -> list[Made]:
    """z-score among the patient's lesions on the same fine body part."""
    key = PLACES["location"]
    return z_family(source, "location_z", key, "patient and location", compared(source, settings), settings)


@family(place=80, looks_at="patient")
def simple_location_z(source: Source, settings: Settings) -> list[Made]:
    """z-score among the patient's lesions on the same coarse body part."""
    key = PLACES["simple_location"]
    return z_family(
        source, "simple_location_z", key, "patient and simple location", compared(source, settings), settings
    )


@family(place=90, looks_at="patient")
def site_z(source: Source, settings: Settings) -> list[Made]:
    """z-score among the patient's lesions at the same anatomic site."""
    return z_family(source, "site_z", PLACES["site"], "patient and site", compared(source, settings), settings)


def z_family(source: Source, family: str, key: str, among: str, columns: list[str], settings: Settings) -> list[Made]:
    """z-scores of several columns within one kind of group; none where the data lack the place."""
    if not source.has(key):
        return []
    formula = "({0} - mean) / (sd + {1:g}) by {2}"
    return [
        Made(
            Feature(f"{name}_{family}", family, formula.format(name, settings.epsilon, among), "sd"), pl.Series(values)
        )
        for name, values in zip(columns, z_scores(source.frame, columns, key, settings.epsilon), strict=True)
    ]


@family(place=100, looks_at="patient")
def patient_rank(source: Source, settings: Settings) -> list[Made]:
    """Share of the patient's lesions below, ties counted half: 0.5 for a single lesion."""
    figures = ranks_and_robust_z(source, settings)
    source.kept["robust z"] = {name: robust for name, (_, robust) in figures.items()}
    return [
        Made(
            Feature(f"{name}_patient_rank", "patient_rank", f"(rank of {name} in patient - 0.5) / lesions", "share"),
            pl.Series(rank),
        )
        for name, (rank, _) in figures.items()
    ]


@family(place=110, looks_at="patient")
def patient_robust_z(source: Source, settings: Settings) -> list[Made]:
    """Deviation from the patient's median in robust standard deviations, unmoved by the outliers it looks for.

    Where more than half of the values are equal the median deviation is 0; the mean deviation then takes its place.
    """
    figures = source.kept.pop("robust z", None)
    if figures is None:
        figures = {name: robust for name, (_, robust) in ranks_and_robust_z(source, settings).items()}
    formula = "({0} - median) / (1.4826 median|{0} - median| + {1:g}) by patient"
    return [
        Made(
            Feature(f"{name}_patient_robust_z", "patient_robust_z", formula.format(name, settings.epsilon), "sd"),
            pl.Series(robust),
        )
        for name, robust in figures.items()
    ]


def ranks_and_robust_z(source: Source, settings: Settings) -> dict[str, tuple[Float32, Float32]]:
    """Both figures of every compared column, from one sort of each."""
    columns = compared(source, settings)
    if source.frame.is_empty():
        return {name: (np.empty(0, np.float32), np.empty(0, np.float32)) for name in columns}
    patients = Patients.of(np.array(patient_sizes(source.frame)))

    def figures(names: list[str]) -> list[tuple[Float32, Float32]]:
        values = [source.frame[name].to_numpy() for name in names]
        return [
            (column.ranks(), column.robust_z(value, settings.epsilon))
            for value, column in zip(values, sorted_columns(values, patients), strict=True)
        ]

    together = [columns[start : start + SORTED_TOGETHER] for start in range(0, len(columns), SORTED_TOGETHER)]
    with ThreadPoolExecutor(processors()) as pool:
        found = [both for batch in pool.map(figures, together) for both in batch]
    return dict(zip(columns, found, strict=True))


@family(place=120, looks_at="patient")
def outlying(source: Source, settings: Settings) -> list[Made]:
    """In how many columns, and how far, a lesion stands out of its patient; missing columns do not count."""
    columns = compared(source, settings)
    if not columns:
        return []
    lesions = source.frame.height
    known, outside, total, square = (np.zeros(lesions) for _ in range(4))
    largest = np.full(lesions, np.nan)
    for z in patient_z_scores(source, columns, settings.epsilon):
        distance = np.abs(z.astype(np.float64))
        known += ~np.isnan(distance)
        largest = np.fmax(largest, distance)
        distance = np.nan_to_num(distance, copy=False)
        outside += distance > settings.outlier_z
        total += distance
        square += distance**2
    count = np.where(known > 0, known, np.nan)
    mean = total / count
    spread = np.sqrt(np.maximum(square / count - mean**2, 0.0))
    return [
        Made(Feature(name, "outlying", f"{formula} over {len(columns)} columns by patient", unit), pl.Series(values))
        for name, formula, unit, values in (
            ("outlying_columns", f"number of |z| > {settings.outlier_z:g}", "columns", outside),
            ("outlying_share", f"share of |z| > {settings.outlier_z:g}", "share", outside / count),
            ("z_max", "max |z|", "sd", largest),
            ("z_mean", "mean |z|", "sd", mean),
            ("z_spread", "standard deviation of |z|", "sd", spread),
        )
    ]


@family(place=150, sets=COMPACT, looks_at="patient")
def counts(source: Source, settings: Settings) -> list[Made]:
    """How many lesions and how much lesion area, in the patient and at the place, and the lesion's part of it."""
    keys = {"patient": PATIENT} | {place: key for place, key in PLACES.items() if source.has(key)}
    area = pl.col(AREA).cast(pl.Float64)
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
