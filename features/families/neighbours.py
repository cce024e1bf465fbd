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
BLOCK = 128
"""Rows of the distance matrix held at once: for the usual patient of a few hundred lesions they stay in the cache."""
SPARE = 4
"""Candidates beyond k, so that a rounded tie at the k-th distance is settled by the exact distances."""


def nearest_neighbours(points: Float32, k: int) -> tuple[npt.NDArray[np.intp], Float32]:
    """Indices and Euclidean distances of the k nearest other points, nearest first; k is at most len(points) - 1."""
    n = len(points)
    if not 1 <= k < n:
        raise ValueError(f"{k} neighbours among {n} points")
    # Centred, because the product's rounding error grows with the points' distance from the origin.
    centred = points - points.mean(axis=0, dtype=np.float64).astype(np.float32)
    square = np.einsum("nd,nd->n", centred, centred)
    wanted = min(k + SPARE, n - 1)
    indices = np.empty((n, k), np.intp)
    distances = np.empty((n, k), np.float32)
    for start in range(0, n, BLOCK):
        rows = np.arange(start, min(start + BLOCK, n))
        nearness = (centred[rows] * np.float32(-2)) @ centred.T
        nearness += square
        nearness[rows - start, rows] = np.inf
        candidates = np.argpartition(nearness, wanted - 1, axis=1)[:, :wanted]
        difference = centred[candidates] - centred[rows, None]
        exact = np.einsum("nkd,nkd->nk", difference, difference)
        order = np.argsort(exact, axis=1, kind="stable")[:, :k]
        indices[rows] = np.take_along_axis(candidates, order, axis=1)
        distances[rows] = np.sqrt(np.take_along_axis(exact, order, axis=1))
    return indices, distances


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
    reach = np.maximum(distances, distances[:, -1][indices]).astype(np.float64)
    density = 1.0 / (reach.mean(axis=1) + 1e-10)  # the constant scikit-learn adds for duplicated points
    result: npt.NDArray[np.float64] = density[indices].mean(axis=1) / density
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
