"""CPU seconds, seconds and most memory of `fusionnetx predict` on tables of so many rows, each in a process of its own.

python -m benchmarks.predict_rows --run demo --rows 1000
python -m benchmarks.predict_rows --run tables --rows 1000 50000 100000 500000

The rows are those of the run's own synthetic test part; more than it has are the same patients again under other names,
which takes a run without image models.
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

from pipeline.actions.opening import existing_run, surroundings
from pipeline.inputs import Inputs


def main() -> None:
    """Print a line for each number of rows, and what a row adds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", default="demo")
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000])
    parser.add_argument("--out", default="answers.csv", help="name of the answers' file: its ending is their kind")
    asked = parser.parse_args()
    run = existing_run(asked.run)
    source = Inputs(run, surroundings()).source_dir
    table = pl.read_csv(source / "test-metadata.csv", infer_schema=False)
    images = ["--images", str(source / "test-image.hdf5")] if run.recipe.sees_images else []
    found = []
    for rows in asked.rows:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "table.csv"
            if images and rows > len(table):
                parser.error(f"{asked.run} sees images, and there are those of {len(table):,} lesions")
            repeated(table, rows).write_csv(path)
            words = ["--run", str(run.folder), "--metadata", str(path), "--out", str(Path(folder) / asked.out), *images]
            found.append((rows, *measured(words)))
            size = path.stat().st_size / 1e6
        print("{:>9,} rows: {:>7.1f} CPU s, {:>7.1f} s, {:>7,.0f} MB at most".format(*found[-1]),
              f"(the table's file {size:,.1f} MB)", flush=True)  # fmt: skip
    for (fewer, cpu, _, memory), (more, more_cpu, _, more_memory) in pairwise(found):
        print(f"each row from {fewer:,} to {more:,}: {(more_cpu - cpu) / (more - fewer) * 1e6:,.0f} CPU us, "
              f"{(more_memory - memory) / (more - fewer) * 1e3:,.2f} kB")  # fmt: skip


def repeated(table: pl.DataFrame, rows: int) -> pl.DataFrame:
    """The table again and again under other names, as long as asked for."""
    times = -(-rows // len(table))
    named = [
        table if not i else table.with_columns(pl.format("{}_{}", name, pl.lit(i)).alias(name)
                                               for name in ("isic_id", "patient_id"))
        for i in range(times)
    ]  # fmt: skip
    return pl.concat(named).head(rows)


def measured(words: list[str]) -> tuple[float, float, float]:
    """CPU seconds, seconds, and the most memory in MB."""
    began = time.monotonic()
    child = subprocess.Popen([sys.executable, "-m", "fusionnetx", "predict", *words], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise SystemExit("predict ended with an error")
    return used.ru_utime + used.ru_stime, time.monotonic() - began, used.ru_maxrss / 1e3


if __name__ == "__main__":
    main()
