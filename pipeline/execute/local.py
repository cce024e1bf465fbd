"""Jobs in this process: one after the other, or side by side in a few threads."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from pipeline.execute.job import Done, Job, perform
from tabular.learners.adapting import cuda_gpus

if TYPE_CHECKING:
    from pipeline.inputs import Inputs
    from pipeline.runtime import Runtime

LOOK_SECONDS = 0.2
"""How often the main thread looks for a request to stop while others work."""


class LocalExecutor:
    """Does every job here."""

    spreads = False
    store_url: str | None = None

    def __init__(self) -> None:
        self._gpu = threading.Lock()

    def gpus(self, runtime: "Runtime") -> float:
        """GPUs of this machine."""
        return cuda_gpus()

    def expect(self, inputs: "Inputs", at_once: int) -> None:
        """Nothing is started beforehand."""

    def run(self, inputs: "Inputs", runtime: "Runtime", jobs: Sequence[Job], at_once: int = 1) -> Iterator[Done]:
        """Do the jobs in the order given; with `at_once` above one, that many threads take the next each."""
        if not jobs:
            return
        # A product of matrices in more threads may round otherwise; a worker of a cluster sets the same limit.
        with threadpool_limits(max(job.cpus for job in jobs), user_api="blas"):
            # PyTorch's random state is one for the whole process: its networks are trained one after the other here.
            if at_once == 1 or any(job.together for job in jobs):
                for job in jobs:
                    yield Done(job, perform(inputs, runtime, job))
            else:
                yield from self._side_by_side(inputs, runtime, jobs, at_once)

    def _side_by_side(self, inputs: "Inputs", runtime: "Runtime", jobs: Sequence[Job], at_once: int) -> Iterator[Done]:
        pool = ThreadPoolExecutor(at_once, thread_name_prefix="job")
        waiting: dict[Future[Any], Job] = {pool.submit(self._one, inputs, runtime, job): job for job in jobs}
        try:
            while waiting:
                finished, _ = wait(waiting, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield Done(waiting.pop(future), future.result())
                runtime.display.check_stop()
        finally:
            # After a failure or a request to stop, the jobs at work end and keep their results; the others never start.
            pool.shutdown(wait=True, cancel_futures=True)

    def _one(self, inputs: "Inputs", runtime: "Runtime", job: Job) -> Any:
        # Two boosters do not fit on one GPU: CatBoost takes nearly all of its memory.
        with self._gpu if job.gpus else nullcontext():
            return perform(inputs, runtime, job)

    def close(self) -> None:
        """Nothing was started."""
