"""One patient's lesions beside each other: what makes each stand out, their plane, the odd ones, the alike."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import polars as pl

from features.arrange import clean
from features.columns import ASYMMETRY_ANGLE, KNOWN, PATIENT_CONSTANT, STRONG, X, Y, Z
from features.families.neighbours import local_outlier_factor, nearest_in_space, nearest_neighbours
from features.groups import z_scores
from features.recipe import FeatureRecipe
from pipeline.notes import notes_of
from pipeline.page.view import View

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
DEFAULTS = FeatureRecipe()
STANDS_OUT_SD = 2.0
"""A measurement is named where it lies so many of the patient's standard deviations from the mean, 1 in 22."""
NAMED = 2
"""Measurements named on a tile."""
ODD_FACTOR = 1.5
"""Local outlier factor of an odd one out, at least: in a crowd it is about 1, and at the edge of one little more."""
FEWEST = 4
"""Of fewer lesions none is the odd one out."""
NEAREST = 5
COMPONENTS = ("component 1", "component 2")
NO_COMPARISON = (X, Y, Z, ASYMMETRY_ANGLE, *PATIENT_CONSTANT)
"""Numbers that say nothing by being far from the patient's mean."""


@dataclass(frozen=True, eq=False)
class Look:
    """A patient's lesions in the order of suspicion, measured against each other."""

    rows: Ints
    names: tuple[str, ...]
    """The measurements that are compared."""
    values: Floats
    z: Floats
    """(lesions, measurements) in the patient's standard deviations; NaN where missing."""
    outlier: Floats
    """Local outlier factor: about 1 in a crowd."""
    odd: npt.NDArray[np.bool_]
    """Lesions whose factor lies far above the patient's usual one."""
    components: Floats
    """(lesions, 2): the strongest two."""
    loadings: tuple[str, str]
    """The measurements that each component leans on most."""
    points: npt.NDArray[np.float32]
    positions: Floats
    """(lesions, 3) in mm; NaN where missing."""
    notes: tuple[str | None, ...]


@lru_cache(maxsize=128)
def look_at(view: View, patient: int) -> Look:
    """Everything about a patient that a page shows."""
    rows = view.rows_of(patient)
    table = view.cohort.table[rows]
    names = tuple(name for name in view.decision.seen.numbers if name in table.columns and name not in NO_COMPARISON)
    frame = table.select([clean(name) for name in names]).with_columns(pl.lit(0, pl.UInt32).alias("one"))
    scores = z_scores(frame, names, "one", DEFAULTS.epsilon)
    z = np.column_stack(scores).astype(np.float64) if names else np.zeros((len(rows), 0))
    strong = [place for place, name in enumerate(names) if name in STRONG] or list(range(len(names)))
    points = np.nan_to_num(z[:, strong]).astype(np.float32)
    factor, odd = outliers(points)
    components, loadings = strongest(points, [names[place] for place in strong])
    placed = [
        pl.col(name).cast(pl.Float64) if name in table.columns else pl.lit(None, pl.Float64) for name in (X, Y, Z)
    ]
    positions = table.select(*(one.alias(str(i)) for i, one in enumerate(placed))).fill_null(float("nan")).to_numpy()
    part = view.cohort.__class__(table, view.cohort.task, labelled=False, forbidden=view.cohort.forbidden)
    return Look(
        rows=rows,
        names=names,
        values=frame.select(names).fill_null(float("nan")).to_numpy() if names else z,
        z=z,
        outlier=factor,
        odd=odd,
        components=components,
        loadings=loadings,
        points=points,
        positions=positions,
        notes=tuple(notes_of(part, view.decision.seen, view.said.without_image[rows]).to_list()),
    )


def outliers(points: npt.NDArray[np.float32]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """The local outlier factor of each, and which lie far above the patient's median."""
    count = len(points)
    if count < FEWEST or not points.shape[1]:
        return np.ones(count), np.zeros(count, dtype=np.bool_)
    factor = local_outlier_factor(*nearest_neighbours(points, min(DEFAULTS.outlier_neighbours, count - 1)))
    middle = float(np.median(factor))
    # 1.4826 median deviations are a standard deviation of what is normal.
    spread = 1.4826 * float(np.median(np.abs(factor - middle))) + DEFAULTS.epsilon
    far = (factor - middle) / spread > DEFAULTS.outlier_z
    return factor, np.asarray(far & (factor >= ODD_FACTOR), dtype=np.bool_)


def strongest(points: npt.NDArray[np.float32], names: list[str]) -> tuple[Floats, tuple[str, str]]:
    """The two principal components of some lesions, and the two measurements each leans on most."""
    if len(points) < 2 or points.shape[1] < 2:
        return np.zeros((len(points), 2)), ("", "")
    left, size, right = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    # The sign is free: the strongest measurement rises with the component.
    strong = np.argsort(-np.abs(right[:2]), axis=1, kind="stable")
    sign = np.sign(np.take_along_axis(right[:2], strong[:, :1], axis=1)[:, 0])
    found = (left * size)[:, :2].astype(np.float64) * np.where(sign == 0, 1, sign)
    return found, (words(names, strong[0]), words(names, strong[1]))


def words(names: list[str], order: npt.NDArray[np.intp]) -> str:
    """The first two of some measurements."""
    return " and ".join(meaning(names[int(place)]) for place in order[:2])


def meaning(name: str) -> str:
    """What a measurement is, in words."""
    return KNOWN[name].meaning if name in KNOWN else name


def unit(name: str) -> str:
    """Its unit; nothing where there is none."""
    found = KNOWN[name].unit if name in KNOWN else ""
    return "" if found[:1].isdigit() else found


def standing_out(look: Look, place: int, most: int = NAMED) -> list[str]:
    """`area high, 3.1 sd`: the measurements of a lesion that are farthest from the patient's mean."""
    row = np.nan_to_num(look.z[place])
    order = np.argsort(-np.abs(row), kind="stable")[:most]
    return [
        f"{meaning(look.names[int(i)])} {'high' if row[i] > 0 else 'low'}, {abs(row[i]):.1f} sd"
        for i in order
        if abs(row[i]) >= STANDS_OUT_SD
    ]


def nearest(look: Look, place: int) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
    """Places of the lesions most alike in their measurements (sd), and of those nearest on the skin (mm)."""
    alike: list[tuple[int, float]] = []
    if len(look.rows) > 1 and look.points.shape[1]:
        names, distances = nearest_neighbours(look.points, min(NEAREST, len(look.rows) - 1))
        alike = [(int(i), float(d)) for i, d in zip(names[place], distances[place], strict=True)]
    there = np.flatnonzero(np.isfinite(look.positions).all(axis=1))
    if place not in there or len(there) < 2:
        return alike, []
    found, far = nearest_in_space(look.positions[there], min(NEAREST, len(there) - 1))
    own = int(np.flatnonzero(there == place)[0])
    return alike, [(int(there[i]), float(d)) for i, d in zip(found[own], far[own], strict=True)]
