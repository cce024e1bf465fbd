"""z-scores within groups of rows, on arrays.

Written with numpy because a group's sum must always run over the same numbers in the same order: polars' lazy engine
adds up partial sums of whatever chunk each thread got, and its eager one takes four times as long on unsorted keys.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import polars as pl

from features.families.neighbours import processors

Floats = npt.NDArray[np.float64]


class Groups:
    """Rows gathered by key: the order that brings equal keys together, where each group starts and how long it is."""

    def __init__(self, key: npt.NDArray[np.unsignedinteger]) -> None:
        in_order = bool((key[1:] >= key[:-1]).all())
        self.order = None if in_order else np.argsort(key, kind="stable")
        """None where equal keys are together as it is."""
        ordered = key if self.order is None else key[self.order]
        self.starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))[: len(key)]
        self.sizes = np.diff(np.append(self.starts, len(key)))

    def sums(self, values: npt.NDArray[np.generic]) -> Floats:
        """Sum of each group; numpy adds pairwise within it."""
        return np.add.reduceat(values, self.starts, dtype=np.float64)

    def z_scores(self, values: npt.NDArray[np.floating], epsilon: float) -> npt.NDArray[np.float32]:
        """(value - mean) / (sample sd + epsilon); one value gives 0, a missing (NaN) one stays missing."""
        value = (values if self.order is None else values[self.order]).astype(np.float64)
        missing = np.isnan(value)
        some = bool(missing.any())
        if some:
            value[missing] = 0.0
        count = self.sums(~missing) if some else self.sizes
        value -= np.repeat(self.sums(value) / np.maximum(count, 1), self.sizes)
        if some:
            value[missing] = 0.0
        sd = np.sqrt(self.sums(value * value) / np.maximum(count - 1, 1))
        value /= np.repeat(sd + epsilon, self.sizes)
        if some:
            value[missing] = np.nan
        result = np.empty(len(values), np.float32)
        result[slice(None) if self.order is None else self.order] = value
        return result


def z_scores(frame: pl.DataFrame, columns: Sequence[str], key: str, epsilon: float) -> list[npt.NDArray[np.float32]]:
    """z-scores of several columns within one key, a thread per processor over the columns."""
    if frame.is_empty():
        return [np.empty(0, np.float32) for _ in columns]
    groups = Groups(frame[key].to_numpy())
    with ThreadPoolExecutor(processors()) as pool:
        return list(pool.map(lambda name: groups.z_scores(frame[name].to_numpy(), epsilon), columns))
