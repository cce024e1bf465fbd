"""Accidents that tests bring about: tables with another cell, files cut short, a bit turned over."""

from collections.abc import Callable
from pathlib import Path

import polars as pl


def rewrite(path: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Change the table of a CSV file."""
    change(pl.read_csv(path, infer_schema=False)).write_csv(path)


def first_cell(column: str, value: str | None) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Give the first row another value."""
    first = pl.int_range(pl.len()) == 0
    return lambda table: table.with_columns(pl.when(first).then(pl.lit(value)).otherwise(column).alias(column))


def edit(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Change the bytes of a file."""
    path.write_bytes(change(path.read_bytes()))


def cut(path: Path) -> None:
    """Leave the first half of a file."""
    edit(path, lambda whole: whole[: len(whole) // 2])


def alter(path: Path) -> None:
    """One bit in the middle, the size as it was."""

    def turned(whole: bytes) -> bytes:
        middle = len(whole) // 2
        return whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]

    edit(path, turned)
