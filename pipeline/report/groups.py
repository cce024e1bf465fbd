"""The score by fold, site, age, sex, skin tone, clinic and lesion size, each with n, positives and interval.

A figure of a handful of malignant lesions misleads; below MIN_POSITIVES a group is listed with its counts alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort, Task
from data.scores.scores import threshold_at_sensitivity
from features import columns as known
from pipeline.report.finished import FinishedRun, Floats, Ints
from pipeline.report.leads import score_figures

MIN_POSITIVES = 10
"""Above 80 % sensitivity, where pAUC looks, ten positives leave two that decide the score; fewer, one or none."""
MIN_PATIENTS = 5
"""Patients with a malignant lesion, without which an interval over patients has nothing to draw from."""
MIN_LESIONS = 30
"""Lesions without which the share of right calls is not given (several classes)."""
THRESHOLD_SENSITIVITY = 0.90
REPLICATES = 400

AGE_BANDS = (40.0, 55.0, 70.0)
SIZE_BANDS_MM = (3.0, 4.0, 6.0)
NOT_GIVEN = "not given"


@dataclass(frozen=True)
class Judged:
    """Lesions with answers and with a probability by the blend."""

    cohort: Cohort
    blend: Floats
    seed: int
    """Of everything random."""

    @property
    def task(self) -> Task:
        """What was predicted."""
        return self.cohort.task

    @staticmethod
    def of(finished: FinishedRun) -> "Judged":
        """The training lesions of a run."""
        return Judged(finished.inputs.data.train, finished.blend, finished.seed)


def by_group(finished: FinishedRun) -> list[dict[str, Any]]:
    """Scores in every way of dividing the cohort that its columns allow."""
    judged, (target, probability, _) = Judged.of(finished), finished.scored()
    threshold = threshold_at_sensitivity(target, probability, THRESHOLD_SENSITIVITY)
    return divided(finished, lambda label, rows: group_figures(judged, label, rows, threshold))


def by_group_of_classes(finished: FinishedRun) -> list[dict[str, Any]]:
    """The same for several classes: how often the most probable class is the true one."""
    judged = Judged.of(finished)
    return divided(finished, lambda label, rows: right_calls(judged, label, rows))


def divided(finished: FinishedRun, figures: Callable[[str, Ints], dict[str, Any]]) -> list[dict[str, Any]]:
    """The figures of every group of every division, from its label and its lesions with a probability."""
    rows = finished.known_rows
    return [
        {"name": name, "title": title, "groups": [figures(str(one), rows[values[rows] == one]) for one in labels]}
        for name, title, labels, values in divisions(finished)
    ]


def right_calls(judged: Judged, label: str, rows: Ints) -> dict[str, Any]:
    """Counts, accuracy with its interval, and the share of the most frequent class, which calling it always reaches."""
    target, groups = judged.cohort.target[rows], judged.cohort.groups[rows]
    patients = len(np.unique(groups))
    enough = len(rows) >= MIN_LESIONS and patients >= MIN_PATIENTS
    scored = (target, judged.blend[rows], groups, "accuracy", judged.seed, REPLICATES)
    return {
        "label": label,
        "lesions": len(rows),
        "patients": patients,
        "classes": len(np.unique(target)),
        "largest_class_share": float(np.bincount(target).max() / len(rows)) if len(rows) else None,
        "too_few": not enough,
        "accuracy": score_figures(*scored) if enough else None,
    }


def divisions(finished: FinishedRun) -> Iterator[tuple[str, str, list[str], npt.NDArray[Any]]]:
    """Name, title, labels in order, and the label of every lesion."""
    folds = [f"fold {k}" for k in range(finished.inputs.folds.count)]
    yield "fold", "Fold", folds, np.array(folds)[finished.fold]
    yield from divisions_by_column(finished.table)


def divisions_by_column(frame: pl.DataFrame) -> Iterator[tuple[str, str, list[str], npt.NDArray[Any]]]:
    """The same by the columns of a table."""
    for name, title, columns, divide in (
        ("site", "Anatomic site", (known.SITE, "localization"), categories),
        ("age", "Age, years", (known.AGE, "age"), partial(bands, edges=AGE_BANDS, unit="")),
        ("sex", "Sex", (known.SEX,), categories),
        ("skin_tone", "Skin tone (lightness L of the skin around)", (known.L_SKIN,), quarters),
        ("attribution", "Institution", ("attribution",), categories),
        ("size", "Longest diameter, mm", (known.DIAMETER,), partial(bands, edges=SIZE_BANDS_MM, unit=" mm")),
    ):
        found = [column for column in columns if column in frame.columns]
        if found:
            yield name, title, *divide(frame[found[0]])


def categories(column: pl.Series) -> tuple[list[str], npt.NDArray[Any]]:
    """The values of a text column, most frequent first."""
    values = column.cast(pl.String).fill_null(NOT_GIVEN)
    counts = values.value_counts(sort=True)
    labels = [label for label in counts[column.name].to_list() if label != NOT_GIVEN]
    return [*labels, *([NOT_GIVEN] if column.null_count() else [])], values.to_numpy()


def bands(column: pl.Series, edges: tuple[float, ...], unit: str) -> tuple[list[str], npt.NDArray[Any]]:
    """Bands of a number: below the first edge, from each edge to the next, from the last edge up."""
    inner = [f"{low:g} to under {high:g}{unit}" for low, high in pairwise(edges)]
    labels = [f"under {edges[0]:g}{unit}", *inner, f"{edges[-1]:g}{unit} and over"]
    return placed(column, np.asarray(edges), labels)


def quarters(column: pl.Series) -> tuple[list[str], npt.NDArray[Any]]:
    """Quarters of the cohort, darkest first, with their limits."""
    values = column.cast(pl.Float64).drop_nulls().to_numpy()
    edges = np.quantile(values, [0.25, 0.5, 0.75])
    names = ("darkest quarter", "second quarter", "third quarter", "lightest quarter")
    limits = [
        f"under {edges[0]:.1f}", f"{edges[0]:.1f} to {edges[1]:.1f}", f"{edges[1]:.1f} to {edges[2]:.1f}",
        f"{edges[2]:.1f} and over",
    ]  # fmt: skip
    return placed(column, edges, [f"{name} (L {limit})" for name, limit in zip(names, limits, strict=True)])


def placed(column: pl.Series, edges: Floats, labels: list[str]) -> tuple[list[str], npt.NDArray[Any]]:
    """The label of every lesion by the band its value lies in."""
    values = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    missing = np.isnan(values)
    place = np.digitize(np.where(missing, edges[0], values), edges)
    names = np.where(missing, NOT_GIVEN, np.array(labels)[place])
    return [*labels, *([NOT_GIVEN] if missing.any() else [])], names


def group_figures(judged: Judged, label: str, rows: Ints, threshold: float) -> dict[str, Any]:
    """Counts, score and AUC with intervals, and what one threshold for everyone does in this group."""
    target, probability, groups = judged.cohort.target[rows], judged.blend[rows], judged.cohort.groups[rows]
    positives = int(target.sum())
    with_positive = len(np.unique(groups[target == 1]))
    called = probability >= threshold
    enough = positives >= MIN_POSITIVES and with_positive >= MIN_PATIENTS and positives < len(rows)
    return {
        "label": label,
        "lesions": len(rows),
        "patients": len(np.unique(groups)),
        "positives": positives,
        "patients_with_positives": with_positive,
        "found": int(target[called].sum()) if len(rows) else 0,
        "sensitivity": float(called[target == 1].mean()) if positives else None,
        "flagged_share": float(called.mean()) if len(rows) else None,
        "too_few": not enough,
        **{
            score: score_figures(target, probability, groups, score, judged.seed, REPLICATES) if enough else None
            for score in dict.fromkeys((judged.task.score, "auc"))
        },
    }
