"""Parquet files written by a run, or one message about why one cannot be read.

A flipped bit inside a column can go unnoticed here: the checksums in a stage's report.json are for that.
"""

from pathlib import Path

import polars as pl

from data.errors import DataError
from data.files import read_whole
from data.tables.parquet_layout import refuse_impossible


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
    # A damaged page makes polars panic, which is no PolarsError and not even an Exception.
    except (ValueError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path} is not a whole parquet file ({cause}). {remedy}") from error
