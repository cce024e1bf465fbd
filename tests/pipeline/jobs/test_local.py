import io
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pipeline.workspace import Workspace
from rich.console import Console

from data.errors import Interrupted, TrainingError
from pipeline.display import Display
from pipeline.execute import local
from pipeline.execute.job import Job
from pipeline.execute.local import LocalExecutor
from pipeline.recipe import Recipe


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    console = Console(file=io.StringIO())
    return Workspace(Recipe(), tmp_path, tmp_path, tmp_path, Display(console), data_dir=tmp_path)


@pytest.fixture
def does(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Job], object]], None]:
    """Let every job do something of the test's."""

    def install(work: Callable[[Job], object]) -> None:
        monkeypatch.setattr(local, "perform", lambda space, job: work(job))

    return install


def jobs(count: int, gpus: float = 0.0) -> list[Job]:
    return [Job("booster", (number,), f"job {number}", gpus=gpus) for number in range(count)]


@pytest.mark.parametrize("at_once", [1, 3])
def test_every_job_is_done_once_and_answers(space: Workspace, does: Callable[..., None], at_once: int):
    does(lambda job: int(job.arguments[0]) ** 2)
    done = list(LocalExecutor().run(space, jobs(7), at_once))
    assert sorted(finished.answer for finished in done) == [n**2 for n in range(7)]
    assert {finished.job.title for finished in done} == {f"job {n}" for n in range(7)}
    assert all(finished.answer == int(finished.job.arguments[0]) ** 2 for finished in done)


def test_no_more_than_asked_for_work_side_by_side(space: Workspace, does: Callable[..., None]):
    together, most = set(), []
    meeting = threading.Barrier(3)

    def work(job: Job) -> None:
        together.add(job.title)
        meeting.wait(10)
        most.append(len(together))
        meeting.wait(10)
        together.discard(job.title)

    does(work)
    assert len(list(LocalExecutor().run(space, jobs(6), 3))) == 6
    assert max(most) == 3


def test_jobs_with_a_gpu_take_turns(space: Workspace, does: Callable[..., None]):
    at_work, most = [], []

    def work(job: Job) -> None:
        at_work.append(1)
        most.append(len(at_work))
        time.sleep(0.01)
        at_work.pop()

    does(work)
    list(LocalExecutor().run(space, jobs(5, gpus=1.0), 3))
    assert max(most) == 1


@pytest.mark.parametrize("at_once", [1, 2])
def test_the_first_failure_ends_the_rest(space: Workspace, does: Callable[..., None], at_once: int):
    began: list[str] = []

    def work(job: Job) -> None:
        began.append(job.title)
        if job.title == "job 2":
            raise TrainingError("job 2: no memory left")

    does(work)
    with pytest.raises(TrainingError, match="no memory left"):
        list(LocalExecutor().run(space, jobs(200), at_once))
    assert len(began) < 200


def test_a_request_to_stop_lets_the_jobs_at_work_end(space: Workspace, does: Callable[..., None]):
    began, ended = [], []

    def work(job: Job) -> None:
        began.append(job.title)
        space.display._stop = 143
        time.sleep(0.05)
        ended.append(job.title)

    does(work)
    with pytest.raises(Interrupted) as stopped:
        list(LocalExecutor().run(space, jobs(200), 2))
    assert stopped.value.exit_code == 143
    assert began
    assert sorted(began) == sorted(ended)
    assert len(began) < 200
