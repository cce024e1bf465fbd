"""Rows of a table put aside on the disk under numbers, and taken back one number at a time."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from data.files import read_whole


@dataclass
class Spill:
    """Rows in Parquet files of a folder of its own: memory holds those that come and those that are asked for."""

    folder: Path
    added: int = 0

    def add(self, frame: pl.DataFrame, numbers: npt.NDArray[Any]) -> None:
        """Put every row to those of its number, behind what is there."""
        for number in np.unique(numbers).tolist():
            target = self.folder / str(number)
            target.mkdir(parents=True, exist_ok=True)
            rows = np.flatnonzero(numbers == number)
            frame[rows].write_parquet(target / f"{self.added:08d}.parquet", compression="lz4")
        self.added += 1

    def take(self, number: int) -> pl.DataFrame:
        """The rows of a number in the order in which they came; they are gone from the disk then."""
        frames = []
        for path in sorted((self.folder / str(number)).iterdir()):
            frames.append(pl.read_parquet(read_whole(path)))
            path.unlink()
        return pl.concat(frames)
