"""Features of a table of millions of lesions in patient batches: seconds, peak memory, and the same at once.

Every way runs in a process of its own, so each peak is its own. The table is a synthetic cohort repeated with new ids
and new patients until it is as long as asked.

    python -m benchmarks.large_table [--rows 4000000] [--batch 250000] [--whole]
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

from benchmarks.measuring import alone
from data.patient_batches import cut
from data.readers.isic2024 import read_test
from data.schemas.isic2024 import FORBIDDEN, TASK, TEST_SCHEMA
from data.synthetic.isic2024.cohort import write_cohort
from data.synthetic.isic2024.recipe import SyntheticRecipe
from features.batches import build_in_batches
from features.recipe import FeatureRecipe
from features.table import build

TILE_ROWS = 400_000


def write_table(path: Path, rows: int) -> None:
    """A test table of that many lesions."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        write_cohort(Path(folder), SyntheticRecipe(lesions=1000, test_lesions=min(rows, TILE_ROWS), images=False))
        tile = pl.read_csv(next(Path(folder).rglob("test-metadata.csv")), infer_schema=False)
    with path.open("wb") as out:
        for start in range(0, rows, tile.height):
            suffix = pl.lit(f"_{start // tile.height}")
            part = tile.head(rows - start).with_columns(pl.col("isic_id", "patient_id") + suffix)
            part.write_csv(out, include_header=start == 0)


def in_batches(table: Path, folder: Path, rows: int) -> tuple[float, float]:
    """Seconds to cut the table and seconds to make the features."""
    began = time.perf_counter()
    batches = cut(table, folder / "cut", TEST_SCHEMA, TASK, rows_per_batch=rows, labelled=False, forbidden=FORBIDDEN)
    cut_seconds = time.perf_counter() - began
    paths = build_in_batches(batches, FeatureRecipe(), folder / "features")
    made = int(pl.scan_parquet(paths).select(pl.len()).collect(engine="streaming").item())
    assert made == batches.rows, f"{made} rows of {batches.rows}"
    return cut_seconds, time.perf_counter() - began - cut_seconds


def at_once(table: Path, folder: Path, rows: int) -> tuple[float, float]:
    """Seconds to read the table and seconds to make the features, all in memory."""
    began = time.perf_counter()
    cohort, _, _ = read_test(table, None)
    read_seconds = time.perf_counter() - began
    build(cohort, FeatureRecipe()).write(folder / "whole.parquet")
    return read_seconds, time.perf_counter() - began - read_seconds


def measured(way: Callable[[Path, Path, int], tuple[float, float]], table: Path, rows: int) -> tuple[float, ...]:
    """Both times, and the GB that were written."""
    with tempfile.TemporaryDirectory(dir=table.parent) as folder:
        seconds = way(table, Path(folder), rows)
        size = sum(file.stat().st_size for file in Path(folder).rglob("*.parquet")) / 1e9
    return *seconds, size


def main() -> None:
    """Make the table, run the ways, print what they took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--batch", type=int, default=250_000, help="rows per batch, about")
    parser.add_argument("--whole", action="store_true", help="also with the whole table in memory")
    parser.add_argument("--folder", type=Path, help="where the table and its features are written for the while")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        table = Path(folder) / "table.csv"
        alone(write_table, table, chosen.rows)
        print(f"{chosen.rows:,} lesions, CSV of {table.stat().st_size / 1e9:.2f} GB")
        for name, way in [("batches", in_batches), ("at once", at_once)][: 1 + chosen.whole]:
            (first, second, size), peak = alone(measured, way, table, chosen.batch)
            print(f"{name}: read {first:.1f} s, features {second:.1f} s, peak {peak:.2f} GB, written {size:.2f} GB")


if __name__ == "__main__":
    main()
