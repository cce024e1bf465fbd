"""What a Ray cluster costs and brings on one machine: jobs a second beside one process, stage two on one and two nodes.

    python benchmarks/scale.py                    20,000 lesions, a few minutes
    python benchmarks/scale.py --lesions 200000   boosters that take far longer than a worker's start
    python benchmarks/scale.py --json figures.json

Overhead: jobs that draw a single block of bootstrap replicates of a small table, so nearly all of their time is the
executor's. Scaling: stage two (metadata alone, LightGBM with four seeds on five folds) by a process, and on clusters of
one and of two nodes with one core each; what ran is compared byte for byte. Every measurement starts the command line
anew.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from benchmarks.measuring import Results

RECIPE = """
seed = 7
[data]
image_size = 32
[data.synthetic]
lesions = {lesions}
test_lesions = 100
patients = {patients}
test_patients = 10
malignant = {malignant}
test_malignant = 5
images = false
[folds]
count = 5
[features]
families = ["published", "colour", "patient_z"]
[[tabular.members]]
name = "lightgbm"
booster = "lightgbm"
image_columns = false
seeds = [1, 2, 3, 4]
[tabular.resample]
method = "none"
"""
OVERHEAD = """
import sys, time
from pathlib import Path
from pipeline.commands.options import looking
from pipeline.execute.replicates import replicates_job
from pipeline.execute.running import run_all

if __name__ == "__main__":
    run, data, executor, jobs = sys.argv[1:]
    with looking(run, Path(data), executor=executor) as (inputs, runtime):
        work = [replicates_job(inputs, "tabular/oof.parquet", "blend", n % 20, n % 20 + 1) for n in range(int(jobs))]
        run_all(inputs, runtime, work[:8], "warm")
        began = time.perf_counter()
        run_all(inputs, runtime, work, "jobs")
        print("seconds", time.perf_counter() - began)
"""


@contextmanager
def cluster(nodes: int) -> Iterator[dict[str, str]]:
    """A cluster of nodes with one core each; yields the environment that points to it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    small: dict[str, Any] = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80 * 2**20}
    started: Any = Cluster(initialize_head=True, head_node_args=small)
    try:
        for _ in range(nodes - 1):
            started.add_node(**small)
        yield {"RAY_ADDRESS": str(started.address)}
    finally:
        started.shutdown()


def call(arguments: list[str], folder: Path, **environment: str) -> str:
    """Run Python in the benchmark's folder; its output."""
    variables = {**os.environ, "FUSIONNETX_CACHE": str(folder / "cache"), **environment}
    answer = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=variables, check=False, capture_output=True, text=True
    )
    if answer.returncode:
        raise SystemExit(answer.stdout + answer.stderr)
    return answer.stdout


def tables_of(folder: Path) -> Path:
    """The cohort's folder."""
    return next((folder / "cache").glob("synthetic-*"))


def write_tables(folder: Path, recipe: Path) -> None:
    """Write the cohort without drawing images: image files that hold none, because stage two alone is run."""
    call(["-m", "fusionnetx", "demo-data", "--recipe", str(recipe)], folder)
    for part in ("train", "test"):
        h5py.File(tables_of(folder) / f"{part}-image.hdf5", "w").close()


def stage_two(folder: Path, recipe: Path, name: str, *options: str, **environment: str) -> float:
    """Seconds of the whole command, from the tables to the blend and its intervals."""
    run = folder / "runs" / name
    began = time.perf_counter()
    inputs = ("--recipe", str(recipe), "--data", str(tables_of(folder)), "--run", str(run))
    call(["-m", "fusionnetx", "tabular", *inputs, *options], folder, **environment)
    return time.perf_counter() - began


def same_bytes(one: Path, other: Path) -> bool:
    """Whether two runs hold the same predictions and models."""
    names = [path.relative_to(one) for path in one.rglob("*.parquet")]
    names += [path.relative_to(one) for kind in ("*.txt", "*.cbm", "*.ubj") for path in one.rglob(kind)]
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def jobs_a_second(folder: Path, executor: str, jobs: int, **environment: str) -> float:
    """Small jobs a second, once the workers are there."""
    run, data = folder / "runs" / "local", tables_of(folder)
    out = call(["-c", OVERHEAD, str(run), str(data), executor, str(jobs)], folder, **environment)
    return jobs / float(out.rsplit("seconds", 1)[1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lesions", type=int, default=20_000)
    parser.add_argument("--jobs", type=int, default=200, help="small jobs to measure the overhead with")
    parser.add_argument("--json", type=Path, help="write the figures here")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fusionnetx-scale-"))
    try:
        recipe = folder / "scale.toml"
        sizes = {"patients": max(40, given.lesions // 400), "malignant": max(60, given.lesions // 1000)}
        recipe.write_text(RECIPE.format(lesions=given.lesions, **sizes))
        without_images = ("--set", "image_models=[]")
        one_core = ("--set", "resources.boosters_at_once=1", *without_images)
        print(f"{given.lesions:,} lesions")
        write_tables(folder, recipe)
        local = stage_two(folder, recipe, "local", *one_core)
        with cluster(1) as where:
            one = stage_two(folder, recipe, "one", *one_core, "--executor", "ray", **where)
            rate = jobs_a_second(folder, "ray", given.jobs, **where)
        with cluster(2) as where:
            two = stage_two(folder, recipe, "two", *one_core, "--executor", "ray", **where)
        results = Results("one process, or node")
        results.add("small jobs, a cluster of one core beside one process", rate,
                    jobs_a_second(folder, "local", given.jobs), "jobs/s", rate=True)  # fmt: skip
        results.add("stage two, a node beside one process (start included)", one, local, "s")
        results.add("stage two, two nodes beside one", two, one, "s", "towards 2 x")
        equal = all(same_bytes(folder / "runs" / "local", folder / "runs" / name) for name in ("one", "two"))
        print("the same bytes" if equal else "THE BYTES DIFFER")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    results.write(given.json, lesions=given.lesions, same_bytes=equal)


if __name__ == "__main__":
    main()
