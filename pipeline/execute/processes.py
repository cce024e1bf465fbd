"""Image models side by side, each in a process of its own on this machine; everything else in this process.

Processes and not threads: PyTorch's random state is one for the whole process. On a processor, models with a thread
each never wait for each other at a barrier, so they lose little when other programs want the cores too. On a GPU a
small network is bound by the launching of its kernels, and several fill it together.
"""

import os
import select
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from data.errors import Interrupted, TrainingError
from pipeline.execute.job import Done, Job, free_to_begin
from pipeline.execute.loaded import Loaded
from pipeline.execute.local import LocalExecutor
from pipeline.execute.order import order_for, result_of
from pipeline.execute.relay import Player
from pipeline.execute.worker import STOP, Line
from tabular.learners.adapting import cuda_gpus

if TYPE_CHECKING:
    from pipeline.inputs import Inputs
    from pipeline.runtime import Runtime

LOOK_SECONDS = 0.2
STOP_SECONDS = 60.0
"""After a request to stop, jobs may take this long to save their state; then they are ended."""


@dataclass
class Worker:
    """A process and what it is doing."""

    number: int
    loaded: Loaded
    line: Line
    pid: int
    job: Job | None = None
    events: list[Any] = field(default_factory=list)

    @property
    def owner(self) -> str:
        """Whose bars are its."""
        return f"worker {self.number}"

    def end(self) -> int | None:
        """Stop the process, whatever it does; its exit code."""
        self.line.close()
        return self.loaded.end(self.pid)


class ProcessesExecutor(LocalExecutor):
    """Does image models side by side in processes of this machine."""

    def __init__(self) -> None:
        super().__init__()
        self._workers: list[Worker] = []
        self._loaded: list[Loaded] = []

    def expect(self, inputs: "Inputs", at_once: int) -> None:
        """Load PyTorch for the processes while this one packs images."""
        if at_once > 1 and not in_memory(inputs):
            self._load()

    def run(self, inputs: "Inputs", runtime: "Runtime", jobs: Sequence[Job], at_once: int = 1) -> Iterator[Done]:
        """Do the jobs; those of image models in processes, where more than one is to be done at once."""
        if len(jobs) < 2 or at_once < 2 or in_memory(inputs) or not all(job.together for job in jobs):
            yield from super().run(inputs, runtime, jobs, at_once)
            return
        yield from self._in_processes(inputs, runtime, jobs, min(at_once, len(jobs)))

    def _in_processes(self, inputs: "Inputs", runtime: "Runtime", jobs: Sequence[Job], count: int) -> Iterator[Done]:
        player = Player(runtime.display, (*inputs.data.notes, *inputs.data.understood))
        waiting, deaths = deque(jobs), dict.fromkeys(jobs, 0)
        try:
            self._give_all(self._at_work(count), waiting, inputs, runtime)
            while any(worker.job for worker in self._workers):
                busy = [worker for worker in self._workers if worker.job]
                ready, _, _ = select.select([worker.line for worker in busy], [], [], LOOK_SECONDS)
                for worker in (worker for worker in busy if worker.line in ready):
                    try:
                        answers = self._heard(worker, player)
                    except (EOFError, OSError):
                        self._bury(worker, player, waiting, deaths, inputs, runtime)
                        continue
                    for answer in answers:
                        job = worker.job
                        assert job is not None
                        player.end_of(worker.owner)
                        worker.job = None
                        if answer.get("stopped"):
                            raise Interrupted(130)
                        # One that had nothing to do may have waited for this.
                        self._give_all(self._workers[:count], waiting, inputs, runtime)
                        yield Done(job, answer["answer"])
                runtime.display.check_stop()
        finally:
            player.end_all()
            self._stop()

    def _load(self) -> Loaded:
        """The process that workers are copies of: loading PyTorch takes seconds."""
        if not self._loaded or not self._loaded[-1].reusable:
            self._loaded.append(Loaded())
        return self._loaded[-1]

    def _at_work(self, count: int) -> list[Worker]:
        """So many processes, those that are there already first."""
        while len(self._workers) < count:
            self._workers.append(self._started(len(self._workers)))
        return self._workers[:count]

    def _started(self, number: int) -> Worker:
        """Start a process; with GPUs, each in turn gets the next one."""
        gpus, loaded = visible_gpus(), self._load()
        variables = {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {}
        return Worker(number, loaded, *loaded.copy(variables))

    def _give_all(self, workers: Sequence[Worker], waiting: deque[Job], inputs: "Inputs", runtime: "Runtime") -> None:
        """Give every free worker the next job."""
        for worker in workers:
            if worker.job is None:
                self._give(worker, waiting, inputs, runtime)

    def _give(self, worker: Worker, waiting: deque[Job], inputs: "Inputs", runtime: "Runtime") -> None:
        """Give a free worker the next job that waits for no other."""
        at_work = [other.job for other in self._workers if other.job]
        for job in free_to_begin(waiting, at_work)[:1]:
            waiting.remove(job)
            worker.job = job
            with suppress(OSError):  # it is dead, which is noticed when its answer is awaited
                worker.line.send({"order": order_for(inputs, runtime, worker.job).to_json()})

    def _heard(self, worker: Worker, player: Player) -> list[dict[str, Any]]:
        """Show what a worker has to show; answers, errors raised."""
        answers = []
        for message in worker.line.receive(0.0):
            if "events" in message:
                player.play(renamed(event, worker.owner) for event in message["events"])
            else:
                answers.append(result_of(message["answer"]))
        return answers

    def _bury(
        self,
        worker: Worker,
        player: Player,
        waiting: deque[Job],
        deaths: dict[Job, int],
        inputs: "Inputs",
        runtime: "Runtime",
    ) -> None:
        """Say that a worker died, and let another one go on with its job from the last saved state."""
        job, code = worker.job, worker.end()
        assert job is not None
        player.end_of(worker.owner)
        deaths[job] += 1
        how = f"by signal {-code}" if code is not None and code < 0 else f"with exit code {code}"
        if deaths[job] > inputs.run.recipe.resources.retries:
            self._workers.remove(worker)
            raise TrainingError(
                f"{job.title}: its process died again and again (last {how}); if memory is short, do fewer at once "
                "(resources.image_models_at_once); run again to go on"
            )
        runtime.display.warn(f"{job.title}: its process died ({how}); it is started again and goes on")
        waiting.appendleft(job)
        place = self._workers.index(worker)
        self._workers[place] = self._started(worker.number)
        self._give(self._workers[place], waiting, inputs, runtime)

    def _stop(self) -> None:
        """After an error or a request to stop, let the jobs at work save their state and end."""
        busy = [worker for worker in self._workers if worker.job]
        for worker in busy:
            with suppress(OSError):
                worker.line.send(STOP)
        until = time.monotonic() + STOP_SECONDS
        for worker in busy:
            self._await_answer(worker, until)
            worker.end()
            self._workers.remove(worker)

    @staticmethod
    def _await_answer(worker: Worker, until: float) -> None:
        with suppress(EOFError, OSError, ValueError):
            while time.monotonic() < until:
                if any("answer" in message for message in worker.line.receive(LOOK_SECONDS)):
                    return

    def close(self) -> None:
        """Let the processes go."""
        for worker in self._workers:
            worker.end()
        self._workers.clear()
        for loaded in self._loaded:
            loaded.close()
        self._loaded.clear()


def in_memory(inputs: "Inputs") -> bool:
    """Whether the data are in this process alone, where no other can read them."""
    return inputs.given is not None or inputs.given_pack is not None


def renamed(event: Sequence[Any], owner: str) -> tuple[Any, ...]:
    """An event of a worker's bar under the worker's name: all of them call theirs the same."""
    kind, *rest = event
    if kind in ("begin", "step", "end"):
        return kind, f"{owner}/{rest[0]}", *rest[1:]
    return kind, *rest


def visible_gpus() -> list[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES spells them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name.strip() not in ("", "-1")]
    return [str(number) for number in range(cuda_gpus())]
