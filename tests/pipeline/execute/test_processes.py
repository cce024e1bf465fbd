import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from data.errors import Interrupted, TrainingError
from pipeline.display import Display
from pipeline.execute.loaded import Loaded
from pipeline.execute.processes import ProcessesExecutor, renamed, visible_gpus
from pipeline.inputs import Inputs
from pipeline.integrity.records import content, differences
from pipeline.make import make
from pipeline.recipe import load_recipe
from pipeline.run import Run
from pipeline.runtime import Runtime

pytestmark = pytest.mark.slow


SAVED_OFTEN = "image_models[*].checkpoint_seconds=0.001"
StageOne = Callable[..., tuple[Path, str]]


@pytest.fixture(scope="module")
def stage_one(tiny_recipe: Path, cohort_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> StageOne:
    """Stage one of the tiny recipe with so many image models at once: its folder and what was said."""
    tmp_path = tmp_path_factory.mktemp("stage-one")

    def run(at_once: int, *changes: str, name: str = "run", display: Display | None = None) -> tuple[Path, str]:
        page = io.StringIO()
        recipe = load_recipe(str(tiny_recipe), (f"resources.image_models_at_once={at_once}", SAVED_OFTEN, *changes))
        executor = ProcessesExecutor()
        runtime = Runtime(
            display=display or Display(Console(file=page, width=200, soft_wrap=True)),
            executor=executor,
            cache_dir=tmp_path / "cache",
            weights_dir=tmp_path / "weights",
        )
        folder = tmp_path / name
        try:
            make(Inputs(Run.of(recipe, folder, cohort_dir), runtime), runtime, "oof")
        finally:
            executor.close()
        return folder, page.getvalue()

    return run


def workers() -> list[psutil.Process]:
    """Processes that do jobs for this one: copies of the one that it has started."""
    loaded = [child for child in psutil.Process().children() if "pipeline.execute.worker" in child.cmdline()]
    return [worker for child in loaded for worker in child.children()]


def test_a_killed_worker_is_named_and_the_bytes_are_those_of_one_model_after_the_other(stage_one: StageOne):
    alone, _ = stage_one(1, name="alone")
    killed: list[int] = []

    def kill_one() -> None:
        until = time.monotonic() + 60
        while not killed and time.monotonic() < until:
            # In training: before that there is nothing to lose.
            if any((alone.parent / "killed").glob("oof/*/fold_*/last.*")):
                killed.append(workers()[0].pid)
                os.kill(killed[0], signal.SIGKILL)
            time.sleep(0.01)

    killer = threading.Thread(target=kill_one)
    killer.start()
    beside, said = stage_one(2, name="killed")
    killer.join()
    assert killed
    assert "its process died (by signal 9); it is started again and goes on" in said
    assert differences(content(alone), content(beside)) == []
    assert workers() == []


def test_a_worker_that_always_dies_ends_the_run(stage_one: StageOne, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setattr("pipeline.execute.loaded.sys.executable", "/bin/false")
    with pytest.raises(TrainingError, match="its process died again and again"):
        stage_one(2, "resources.retries=1", name="dead")
    assert workers() == []


def test_a_request_to_stop_reaches_every_worker(stage_one: StageOne):
    class Stopping(Display):
        """Asked to stop once a model is in training."""

        asked = False

        def say(self, text: str, style: str | None = None) -> None:
            self.asked = self.asked or "images/s" in text

        def check_stop(self) -> None:
            if self.asked:
                raise Interrupted(130)

    with pytest.raises(Interrupted):
        stage_one(2, name="stopped", display=Stopping(Console(file=io.StringIO())))
    assert workers() == []


IDLE = """
import os, sys
from pipeline.execute import worker

def work(line):
    line.send([os.environ["CUDA_VISIBLE_DEVICES"], os.getpid(), os.getsid(0)])
    next(line.receive())

worker.load, worker.work = lambda leader: None, work
assert not sys.modules.keys() & {"polars", "torch", "pyarrow"}, "threads that a copy would lack"
worker.main()
"""


def test_copies_of_one_process_differ_in_their_gpu_and_tell_how_they_ended(monkeypatch: pytest.MonkeyPatch):
    start = subprocess.Popen
    monkeypatch.setattr(
        "pipeline.execute.loaded.subprocess.Popen",
        lambda command, **given: start([command[0], "-c", IDLE, command[-1]], **given),
    )
    loaded = Loaded()
    copies = [loaded.copy({"CUDA_VISIBLE_DEVICES": name}) for name in ("0", "1")]
    for name, (line, pid) in zip(("0", "1"), copies, strict=True):
        assert next(line.receive()) == [name, pid, pid]
    os.kill(copies[0][1], signal.SIGTERM)  # for the leading process to pass on
    assert [loaded.end(pid) for _, pid in copies] == [-signal.SIGKILL] * 2
    assert loaded.reusable
    loaded.close()
    assert not loaded.reusable
    copies.append(loaded.copy({}))
    assert copies[-1][1] == 0
    for line, _ in copies:
        with pytest.raises(EOFError):
            list(line.receive())
        line.close()


def test_a_worker_ends_with_its_leader_whatever_it_is_at():
    busy = (
        "import socket, sys, threading, time\nfrom pipeline.execute.worker import end_with\n"
        "end = socket.socket(fileno=int(sys.argv[1]))\n"
        "threading.Thread(target=end_with, args=(end,), daemon=True).start()\nprint(flush=True)\ntime.sleep(60)"
    )
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-c", busy, str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdout=subprocess.PIPE)
    with process, ours:
        assert process.stdout is not None
        process.stdout.readline()
        ours.sendall(b"an order that nobody reads")
        assert process.poll() is None
        ours.close()
        assert process.wait(20) == 0


def test_events_of_workers_do_not_meet():
    assert renamed(("begin", "job/0", "fold 1"), "worker 3") == ("begin", "worker 3/job/0", "fold 1")
    assert renamed(("say", "hello", None), "worker 3") == ("say", "hello", None)


@pytest.mark.parametrize(("named", "expected"), [("", []), ("0,2", ["0", "2"]), ("-1", [])])
def test_workers_share_the_gpus_that_are_visible(named: str, expected: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert visible_gpus() == expected
