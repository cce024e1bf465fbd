"""Exact nearest neighbours and the local outlier factor of one patient's lesions at a time, on plain arrays.

Distances come from blocks of one matrix product (|a|^2 + |b|^2 - 2ab), which only nominates candidates: rounding makes
it useless between near-duplicates, so the candidates' distances are then taken from the differences themselves. A tree
does not pay in seventeen dimensions, and scikit-learn's per-call cost is larger than the work for most patients.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree
from threadpoolctl import threadpool_limits

Float32 = npt.NDArray[np.float32]
BLOCK, BLOCK_CELLS = 128, 100_000
"""Rows of the distance matrix held at once, and its cells for patients of many lesions: they stay in the cache."""
SPARE = 4
"""Candidates beyond k, so that a rounded tie at the k-th distance is settled by the exact distances."""
GROUP, GROUPS_PER_WANTED = 16, 3
"""Columns whose smallest value stands for them all, at most; and how many such groups there should be per candidate."""
MANY = 8
"""Candidates per candidate wanted beyond which a block is partitioned after all."""


def nearest_neighbours(points: Float32, k: int) -> tuple[npt.NDArray[np.intp], Float32]:
    """Indices and Euclidean distances of the k nearest other points, nearest first; k is at most len(points) - 1."""
    n = len(points)
    if not 1 <= k < n:
        raise ValueError(f"{k} neighbours among {n} points")
    # Centred, because the product's rounding error grows with the points' distance from the origin.
    centred = points - points.mean(axis=0, dtype=np.float64).astype(np.float32)
    square = np.einsum("nd,nd->n", centred, centred)
    # |b|^2 - 2ab in one product.
    left = np.column_stack([np.float32(-2) * centred, np.ones(n, np.float32)])
    right = np.ascontiguousarray(np.column_stack([centred, square]).T)
    wanted = min(k + SPARE, n - 1)
    indices = np.empty((n, k), np.intp)
    distances = np.empty((n, k), np.float32)
    block = max(16, min(BLOCK, BLOCK_CELLS // n))
    for start in range(0, n, block):
        rows = np.arange(start, min(start + block, n))
        nearness = left[rows] @ right
        nearness[rows - start, rows] = np.inf
        names, filled_up = side_by_side(*candidates(nearness, wanted), len(rows))
        difference = centred.take(names, axis=0)
        difference -= centred[rows, None]
        exact = np.einsum("nkd,nkd->nk", difference, difference)
        exact[filled_up] = np.inf
        order = np.argsort(exact, axis=1, kind="stable")[:, :k]
        indices[rows] = np.take_along_axis(names, order, axis=1)
        distances[rows] = np.sqrt(np.take_along_axis(exact, order, axis=1))
    return indices, distances


def candidates(nearness: Float32, wanted: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Row and column of at least the `wanted` smallest values of each row, row by row.

    The smallest values of `wanted` disjoint groups of columns are as many values, so the largest of them is a bound:
    all that is wanted lies at or below it, and little else. To find it takes a tenth of what partitioning takes.
    """
    rows, n = nearness.shape
    width = min(GROUP, n // (GROUPS_PER_WANTED * wanted))
    if width > 1:
        groups = n // width
        lowest = nearness[:, : groups * width].reshape(rows, width, groups).min(axis=1)
        bound = np.partition(lowest, wanted - 1, axis=1)[:, wanted - 1 : wanted]
        found = np.flatnonzero(nearness <= bound)
        # Very many at one distance are copies of one lesion; which of them are taken does not matter.
        if len(found) <= MANY * wanted * rows:
            row, column = np.divmod(found, n)
            return row, column
    column = np.argpartition(nearness, wanted - 1, axis=1)[:, :wanted]
    return np.repeat(np.arange(rows), wanted), column.ravel()


def side_by_side(
    row: npt.NDArray[np.intp], column: npt.NDArray[np.intp], rows: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Candidates as a table, and which of its places are none: rows with fewer of them are filled up."""
    count = np.bincount(row, minlength=rows)
    filled_up = np.arange(count.max()) >= count[:, None]
    names = np.zeros(filled_up.shape, np.intp)
    names[~filled_up] = column
    return names, filled_up


def nearest_in_space(points: npt.NDArray[np.float64], k: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """What `nearest_neighbours` gives, by a tree: in three dimensions that is four times as fast."""
    n = len(points)
    distances, indices = map(np.asarray, cKDTree(points).query(points, k=k + 1))
    itself = indices == np.arange(n)[:, None]
    # Of more than k lesions at one point, the lesion itself may not be among those found: the last then gives way.
    itself[~itself.any(axis=1), -1] = True
    return indices[~itself].reshape(n, k), distances[~itself].reshape(n, k)


def local_outlier_factor(indices: npt.NDArray[np.intp], distances: Float32) -> npt.NDArray[np.float64]:
    """Mean reachability density of the neighbours over the point's own (Breunig et al. 2000): about 1 in a crowd."""
    reach = np.maximum(distances, distances[:, -1].take(indices)).astype(np.float64)
    density = 1.0 / (reach.mean(axis=1) + 1e-10)  # the constant scikit-learn adds for duplicated points
    result: npt.NDArray[np.float64] = density.take(indices).mean(axis=1) / density
    return result


def for_each_patient(sizes: Sequence[int], work: Callable[[slice], None]) -> None:
    """Run `work` on every patient's rows in parallel threads, the largest first so that none is left for the end.

    numpy releases the interpreter lock in products, partitions and sorts; BLAS gets one thread, as patients fill the
    processors already.
    """
    ends = np.cumsum(sizes)
    patients = [
        slice(int(ends[i]) - sizes[i], int(ends[i])) for i in sorted(range(len(sizes)), key=lambda i: -sizes[i])
    ]
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(processors()) as pool:
        for _ in pool.map(work, patients):
            pass


def processors() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
