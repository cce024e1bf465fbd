"""CPU seconds, seconds and most memory of `fusionnetx predict` on tables of so many rows, each in a process of its own.

python -m benchmarks.predict_rows --run demo --rows 1000
python -m benchmarks.predict_rows --run tables --rows 1000 50000 100000 500000

Where the run sees images, the rows are the first of its own synthetic test part; else so many lesions are drawn, and
stand in random order, so that every patient's are spread over the whole table. For a run of an own table (reader
"folder") these are rows of its training table under new names, and `--table` says what kind of file they lie in.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import polars as pl

from benchmarks.measuring import alone
from data.readers.folder import FolderRecipe
from data.synthetic.isic2024.cohort import write_cohort
from data.synthetic.isic2024.recipe import SyntheticRecipe
from data.tables.any_table import read_any
from data.tables.csv import ROW
from pipeline.actions.opening import existing_run, surroundings
from pipeline.inputs import Inputs


def main() -> None:
    """Print a line for each number of rows, and what a row adds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", default="demo")
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000])
    parser.add_argument("--out", default="answers.csv", help="name of the answers' file: its ending is their kind")
    parser.add_argument("--table", default="table.csv", help="name of the table's file, for a run of an own table")
    asked = parser.parse_args()
    run = existing_run(asked.run)
    source = Inputs(run, surroundings()).source_dir
    own = run.recipe.data.folder
    images = ["--images", str(source / "test-image.hdf5")] if run.recipe.sees_images else []
    found = []
    for rows in asked.rows:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / (asked.table if own else "table.csv")
            if own:
                alone(draw_own, own, source, rows, path)
            elif images:
                table = pl.read_csv(source / "test-metadata.csv", infer_schema=False)
                if rows > len(table):
                    parser.error(f"{asked.run} sees images, and there are those of {len(table):,} lesions")
                table.head(rows).write_csv(path)
            else:
                # Elsewhere: a process begins with the most memory that the one which starts it ever had.
                alone(draw, rows, path)
            words = ["--run", str(run.folder), "--metadata", str(path), "--out", str(Path(folder) / asked.out), *images]
            found.append((rows, *measured(words)))
            size = path.stat().st_size / 1e6
        print("{:>9,} rows: {:>7.1f} CPU s, {:>7.1f} s, {:>7,.0f} MB at most".format(*found[-1]),
              f"(the table's file {size:,.1f} MB)", flush=True)  # fmt: skip
    for (fewer, cpu, _, memory), (more, more_cpu, _, more_memory) in pairwise(found):
        each_cpu, each_memory = (more_cpu - cpu) / (more - fewer) * 1e6, (more_memory - memory) / (more - fewer) * 1e3
        print(f"each row from {fewer:,} to {more:,}: {each_cpu:,.0f} CPU us, {each_memory:,.2f} kB; "
              f"memory x {more_memory / memory:.2f}")  # fmt: skip


def draw(rows: int, path: Path) -> None:
    """Write the table of so many invented lesions, in random order."""
    with tempfile.TemporaryDirectory() as folder:
        write_cohort(Path(folder), SyntheticRecipe(lesions=100, test_lesions=rows, images=False))
        table = pl.read_csv(Path(folder) / "test-metadata.csv", infer_schema=False)
    table.sample(fraction=1.0, shuffle=True, seed=1).write_csv(path)


def draw_own(recipe: FolderRecipe, source: Path, rows: int, path: Path) -> None:
    """Write rows of the training table, drawn with replacement, as lesions of new patients of some ten each."""
    table = read_any(source / recipe.metadata, recipe.form).text.frame.drop(ROW)
    table = table.sample(rows, with_replacement=True, seed=1)
    row = pl.int_range(pl.len())
    names = [pl.format("L{}", row).alias(recipe.lesion)]
    if recipe.group:
        names.append(pl.format("P{}", (row * 7919) % -(-rows // 10)).alias(recipe.group))
    table = table.with_columns(names).drop(recipe.target)
    table.write_parquet(path) if path.suffix == ".parquet" else table.write_csv(path)


def measured(words: list[str]) -> tuple[float, float, float]:
    """CPU seconds, seconds, and the most memory in MB."""
    began = time.monotonic()
    child = subprocess.Popen([sys.executable, "-m", "fusionnetx", "predict", *words], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = status
    if status:
        raise SystemExit("predict ended with an error")
    return used.ru_utime + used.ru_stime, time.monotonic() - began, used.ru_maxrss / 1e3


if __name__ == "__main__":
    main()
