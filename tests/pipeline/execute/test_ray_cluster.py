"""A real Ray cluster of two nodes on this machine; the command line is its driver, in a process of its own."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ray = pytest.importorskip("ray", reason="needs the extra [cluster]")
pytestmark = pytest.mark.cluster
Start = Callable[..., "subprocess.Popen[str]"]
WITHOUT_CLOCKS = (
    "*.parquet",
    "*.safetensors",
    "*.txt",
    "*.cbm",
    "*.ubj",
    "submission.csv",
    "encoder.json",
    "blend.json",
)
"""Artefacts that hold no time of day and no seconds."""


class TwoNodes:
    """A cluster with one core on each of two nodes."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        # A dead node is noticed by checks that it misses: five, three seconds apart, unless told otherwise.
        watchful = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 300}
        # Workers are started for jobs alone, not beforehand.
        settings = {**watchful, "prestart_worker_first_driver": False}
        small = {"num_cpus": 1, "num_gpus": 0, "include_dashboard": False, "object_store_memory": 80 * 2**20}
        small["include_log_monitor"] = False
        self._cluster: Any = Cluster(initialize_head=True, head_node_args={**small, "_system_config": settings})
        self._second: Any = self._cluster.add_node(**small)

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def kill_second(self) -> None:
        self._cluster.remove_node(self._second, allow_graceful=False)

    def shutdown(self) -> None:
        self._cluster.shutdown()


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="module")
def cluster(scratch: Path) -> Iterator[TwoNodes]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("FUSIONNETX_SCRATCH", str(scratch))
        nodes = TwoNodes()
        yield nodes
        nodes.shutdown()


def files_of(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for pattern in WITHOUT_CLOCKS for path in run.rglob(pattern)}


def finish(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def wait_for(process: "subprocess.Popen[str]", run: Path, pattern: str, count: int) -> None:
    until = time.monotonic() + 240
    while len(list(run.glob(pattern))) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, f"no {count} of {pattern} in {run}"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_stop_and_a_dead_node_change_no_byte(
    cluster: TwoNodes, start: Start, tiny_recipe: Path, finished_run: Path, tmp_path: Path
):
    run = tmp_path / "tiny"
    command = ("submission", "--recipe", tiny_recipe, "--run", run, "--executor", "ray")
    process = start(*command, RAY_ADDRESS=cluster.address)
    wait_for(process, run, "oof/*/fold_*", 1)
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert code == 130
    assert "the same command goes on from here" in err
    assert not (run / "oof" / "report.json").exists()

    process = start(*command, RAY_ADDRESS=cluster.address)
    done = len(list(run.glob("oof/*/fold_*/report.json")))
    wait_for(process, run, "oof/*/fold_*/report.json", done + 1)
    cluster.kill_second()
    code, out, err = finish(process)
    assert code == 0, err
    assert "ray: 2 nodes, 2 cores" in out
    assert "1 of 2 nodes died; its jobs start again" in out
    assert files_of(run) == files_of(finished_run)


def test_workers_without_the_disk_work_through_a_store(
    cluster: TwoNodes,
    start: Start,
    tiny_recipe: Path,
    run_copy: Path,
    finished_run: Path,
    tmp_path: Path,
    scratch: Path,
):
    shutil.rmtree(run_copy / "tabular")
    shutil.rmtree(run_copy / "oof" / "narrow" / "fold_1")
    store = tmp_path / "store"
    command = ("tabular", "--recipe", tiny_recipe, "--run", run_copy, "--executor", "ray", "--store", f"file://{store}")
    process = start(*command, RAY_ADDRESS=cluster.address)
    code, out, err = finish(process)
    assert code == 0, err
    assert "5 of 6 fold models are done" in out
    again, before = files_of(run_copy), files_of(finished_run)
    test_table = {"tabular/test.parquet"}  # written by `submission`
    assert {name: before[name] for name in before.keys() - test_table} == again
    (own,) = scratch.iterdir()
    assert (own / "runs" / "tiny" / "oof" / "narrow" / "fold_1" / "model.safetensors").is_file()


def test_a_job_that_no_node_can_hold_is_refused(cluster: TwoNodes, start: Start, tiny_recipe: Path, run_copy: Path):
    changes = ("--set", "resources.image_model_cpus=64", "--set", "image_models[0].epochs=2", "--replace")
    process = start(
        "oof", "--recipe", tiny_recipe, "--run", run_copy, "--executor", "ray", *changes, RAY_ADDRESS=cluster.address
    )
    code, _, err = finish(process)
    assert code == 2
    assert "asks for 64 cores" in err
    assert "lower [resources] in the recipe" in err


def test_an_address_where_nobody_answers_is_named(
    cli: Callable[..., Any], variant: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    recipe = variant(lambda raw: raw.update(image_models=[]))
    answer = cli("tabular", "--recipe", recipe, "--run", tmp_path / "run", "--executor", "ray")
    assert answer.code == 2
    assert "no Ray cluster answers at RAY_ADDRESS=127.0.0.1:1" in answer.err


def test_an_unknown_executor_is_named(cli: Callable[..., Any], tiny_recipe: Path, tmp_path: Path):
    answer = cli("oof", "--recipe", tiny_recipe, "--run", tmp_path / "run", "--executor", "spark")
    assert answer.code == 2
    assert "there is no executor 'spark'; there are local and ray" in answer.err


def test_nothing_of_ray_is_loaded_without_asking():
    code = "import sys, fusionnetx.cli, pipeline.make, pipeline.actions.opening; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
