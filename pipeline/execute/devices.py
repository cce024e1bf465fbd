"""Jobs in this process, but image models on several devices: this process and its like do each such job together.

The other processes run `follow` (here started by `--devices`, elsewhere by `torchrun`): they are sent the same orders
that a cluster's workers are sent, do the same work on their share of every batch, and write nothing.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

from pipeline.execute.follow import take_part
from pipeline.execute.job import Done, Job
from pipeline.execute.launched import launched_by_torchrun
from pipeline.execute.local import LocalExecutor
from pipeline.execute.meeting import FAILED, GRACE_SECONDS, Meeting, meet, require_gpus
from pipeline.execute.order import order_for

if TYPE_CHECKING:
    from pipeline.inputs import Inputs
    from pipeline.runtime import Runtime


class DevicesExecutor:
    """Does every job here, image models together with other processes."""

    spreads = False
    store_url: str | None = None

    def __init__(self, devices: int) -> None:
        self._devices = devices
        self._local = LocalExecutor()
        self._others: list[subprocess.Popen[bytes]] = []
        # Those that torchrun started are waiting already.
        self._meeting = self._met(meet()) if launched_by_torchrun() else None

    def gpus(self, runtime: "Runtime") -> float:
        """GPUs of this machine."""
        return self._local.gpus(runtime)

    def run(self, inputs: "Inputs", runtime: "Runtime", jobs: Sequence[Job], at_once: int = 1) -> Iterator[Done]:
        """Do the jobs, those of image models one after the other and together."""
        if not all(job.together for job in jobs):
            yield from self._local.run(inputs, runtime, jobs, at_once)
            return
        for job in jobs:
            yield Done(job, self._together(inputs, runtime, job))

    def _together(self, inputs: "Inputs", runtime: "Runtime", job: Job) -> Any:
        if self._meeting is None:
            self._meeting = self._met(self._started())
        meeting = self._meeting
        meeting.order(order_for(inputs, runtime, job).to_json())
        try:
            return take_part(inputs, runtime, job, meeting)
        except RuntimeError:
            # Mostly the connection to a process that has ended; its own words say more.
            failure = meeting.failure(patience=GRACE_SECONDS)
            if failure is None:
                raise
            raise failure from None

    def _met(self, meeting: Meeting) -> Meeting:
        """Listen for the failure of the others, also while a GPU waits for them."""

        def stop() -> None:
            try:
                failure = meeting.failure()
            except RuntimeError:
                return  # the store is gone with the whole run
            Console(stderr=True).print(f"error: {failure}", markup=False, soft_wrap=True)
            self.close()
            os._exit(2)

        meeting.watch(FAILED, stop, GRACE_SECONDS)
        return meeting

    def _started(self) -> Meeting:
        """Start the other processes and wait until they are there."""
        import torch
        from torch.distributed import TCPStore  # type: ignore[attr-defined]

        if torch.cuda.is_available():
            require_gpus(self._devices)
        store = TCPStore("127.0.0.1", 0, self._devices, is_master=True, wait_for_workers=False)
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port)}
        place |= {"WORLD_SIZE": str(self._devices), "LOCAL_WORLD_SIZE": str(self._devices)}
        for number in range(1, self._devices):
            own = {"RANK": str(number), "LOCAL_RANK": str(number)}
            command = [sys.executable, "-m", "pipeline.execute.follow"]
            # In a session of its own: Ctrl-C is for the leading process, which ends the others.
            process = subprocess.Popen(command, env={**os.environ, **place, **own}, start_new_session=True)
            self._others.append(process)
        return meet({**place, "RANK": "0", "LOCAL_RANK": "0"}, store)

    def close(self) -> None:
        """Let the other processes go; they hold nothing that is not here too."""
        if self._meeting is not None:
            self._meeting.end()
        for process in self._others:
            process.kill()
            process.wait()
