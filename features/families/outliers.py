"""The odd one out among a patient's lesions: local outlier factor, and differences to the nearest lesions on the skin.

Both place lesions in the space of `settings.outlier_columns`, in standard deviations of the patient. A missing value
takes the patient's median there, or 0 where the patient has none.
"""

import numpy as np
import polars as pl

from features.columns import X, Y, Z
from features.families.family import Settings, family
from features.families.neighbours import for_each_patient, nearest_in_space, nearest_neighbours
from features.families.neighbours import local_outlier_factor as outlier_factor
from features.families.standardised import patient_sizes, space, standardised
from features.source import Feature, Made, Source


@family(place=130, looks_at="patient")
def local_outlier_factor(source: Source, settings: Settings) -> list[Made]:
    """Local outlier factor of each lesion among its patient's, and how isolated it is there.

    Patients with no more lesions than neighbours use all the others; a single lesion gets factor 1 and distances 0.
    """
    columns = space(source, settings)
    if not columns:
        return []
    points = standardised(source, settings)
    sizes = patient_sizes(source.frame)
    values = np.zeros((len(points), 4), np.float64)
    values[:, 0] = 1.0

    def work(rows: slice) -> None:
        lesions = rows.stop - rows.start
        if lesions < 2:
            return
        indices, distances = nearest_neighbours(points[rows], min(settings.outlier_neighbours, lesions - 1))
        values[rows, 0] = outlier_factor(indices, distances)
        values[rows, 1] = distances[:, 0]
        values[rows, 2] = distances.mean(axis=1)
        values[rows, 3] = distances[:, -1] - distances[:, 0]

    for_each_patient(sizes, work)
    k, d = settings.outlier_neighbours, len(columns)
    return [
        Made(Feature(name, "local_outlier_factor", formula, unit), pl.Series(name, values[:, i]))
        for i, (name, formula, unit) in enumerate(
            (
                ("local_outlier_factor", f"local outlier factor in the patient, k = {k}, {d} columns", "1"),
                ("nearest_distance", f"distance to the most similar lesion of the patient, {d} columns", "sd"),
                ("neighbour_distance", f"mean distance to the {k} most similar lesions of the patient", "sd"),
                ("neighbour_distance_gap", f"distance to the {k}th less to the most similar lesion", "sd"),
            )
        )
    ]


@family(place=140, looks_at="patient")
def skin_neighbours(source: Source, settings: Settings) -> list[Made]:
    """Differences to the mean of the lesions nearest on the skin: a lesion should look like those around it.

    Only lesions with a position count. Without a neighbour the differences are 0 and the distances missing.
    """
    columns = space(source, settings)
    if not columns or not source.has(X, Y, Z):
        return []
    position = source.frame.select(X, Y, Z).to_numpy()
    points = standardised(source, settings)
    difference = np.zeros((len(columns), len(points)), np.float32)
    distance = np.full((2, len(points)), np.nan, np.float32)

    def work(rows: slice) -> None:
        placed = rows.start + np.flatnonzero(np.isfinite(position[rows]).all(axis=1))
        if len(placed) < 2:
            return
        indices, distances = nearest_in_space(position[placed], min(settings.skin_neighbours, len(placed) - 1))
        around = points.take(placed[indices], axis=0).mean(axis=1)
        difference[:, placed] = (points.take(placed, axis=0) - around).T
        distance[:, placed] = distances[:, 0], distances.mean(axis=1)

    for_each_patient(patient_sizes(source.frame), work)
    k = settings.skin_neighbours
    made = [
        Made(Feature(name, "skin_neighbours", formula, "mm"), pl.Series(name, distance[i]))
        for i, (name, formula) in enumerate(
            (
                ("skin_nearest_distance", "distance to the nearest lesion of the patient on the skin"),
                ("skin_neighbour_distance", f"mean distance to the {k} nearest lesions of the patient on the skin"),
            )
        )
    ]
    formula = "({0} - mean of the {1} nearest lesions on the skin) / (sd + {2:g}) by patient"
    for name, values in zip(columns, difference, strict=True):
        feature = Feature(f"{name}_skin_difference", "skin_neighbours", formula.format(name, k, settings.epsilon), "sd")
        series = pl.Series(feature.name, values)
        made.append(Made(feature, pl.when(pl.col(name).is_not_null()).then(pl.lit(series)).alias(feature.name)))
    return made
