"""Frames of pandas and polars, in and out: whatever kind is given is the kind that comes back."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import polars as pl

from data.errors import DataError
from data.files import atomic
from data.held import scratch_folder

Kind = Literal["pandas", "polars"]
Frame = Any
"""A pandas or a polars DataFrame."""


def kind_of(frame: Frame) -> Kind:
    """Which library a frame is of; DataError for anything else."""
    if isinstance(frame, pl.DataFrame):
        return "polars"
    if type(frame).__module__.partition(".")[0] == "pandas" and hasattr(frame, "to_csv"):
        return "pandas"
    raise DataError(
        f"a table is a pandas or polars DataFrame or a folder, not {type(frame).__name__}: read the file first, for "
        "instance with pandas.read_csv"
    )


def write_frame(frame: Frame, path: Path) -> None:
    """Write a frame as the CSV file that readers take."""
    names = [str(name) for name in frame.columns]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise DataError(f"the table has two columns called {doubled[0]!r}; rename one")
    with atomic(path) as temporary:
        if kind_of(frame) == "polars":
            frame.write_csv(temporary)
        else:
            frame.to_csv(temporary, index=False)


@contextmanager
def as_file(frame: Frame) -> Iterator[Path]:
    """A frame as a CSV file for as long as it is needed."""
    with scratch_folder() as folder:
        path = folder / "table.csv"
        write_frame(frame, path)
        yield path


def as_kind(frame: pl.DataFrame, kind: Kind) -> Frame:
    """A frame of the kind that was given."""
    if kind == "polars":
        return frame
    import pandas

    return pandas.DataFrame({name: frame[name].to_list() for name in frame.columns})
