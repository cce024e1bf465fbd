"""Parquet files, or one message about why one cannot be read; those larger than memory part by part.

A flipped bit inside a column can go unnoticed here: the checksums in a stage's report.json are for that.
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from data.errors import DataError
from data.files import opened, read_whole
from data.spelled import spelled
from data.tables.csv import ReadWholeError
from data.tables.parquet_layout import FileBytes, refuse_impossible

PART_ROWS = 2**15
DAMAGE = (ValueError, OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException)
"""What a damaged file makes of reading it: a page makes polars panic, which is not even an Exception."""


def read_parquet(path: Path, remedy: str) -> tuple[pl.DataFrame, dict[str, str]]:
    """Return the table and the metadata of a parquet file; DataError, ending in `remedy`, when it is none."""
    try:
        # Bytes, not the path: no wildcard in a folder's name is expanded, and a file cut short while mapped to
        # memory would end the process (SIGBUS) instead of raising.
        raw = read_whole(path)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. {remedy}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}). {remedy}") from error
    try:
        refuse_impossible(raw)
        return pl.read_parquet(raw), pl.read_parquet_metadata(raw)
    except DAMAGE as error:
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path} is not a whole parquet file ({cause}). {remedy}") from error


def parquet_parts(path: Path) -> Iterator[pl.DataFrame]:
    """The rows in parts, of which memory holds one; `ReadWholeError` where the file is damaged."""
    try:
        with opened(path) as (handle, size):
            refuse_impossible(FileBytes(handle, size))
        with spelled(path) as name:
            table = pl.scan_parquet(name, glob=False)
            for first in range(0, table.select(pl.len()).collect().item(), PART_ROWS):
                yield table.slice(first, PART_ROWS).collect()
    except DAMAGE as error:
        raise ReadWholeError(str(error)) from error
