"""Jobs in this process, but image models on several devices: this process and its like do each such job together.

The other processes run `follow` (here started by `--devices`, elsewhere by `torchrun`): they are sent the same orders
that a cluster's workers are sent, do the same work on their share of every batch, and write nothing. When one of them
ends, by its own failure or because it was killed, the run ends with one message.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rich.console import Console

from data.errors import FusionNetXError, TrainingError
from pipeline.execute.follow import take_part
from pipeline.execute.job import Done, Job
from pipeline.execute.launched import launched_by_torchrun
from pipeline.execute.local import LocalExecutor
from pipeline.execute.meeting import (
    FAILED,
    GRACE_SECONDS,
    LOOK_SECONDS,
    Meeting,
    connection_lost,
    meet,
    meeting_place,
    require_gpus,
)
from pipeline.execute.order import order_for

if TYPE_CHECKING:
    from pipeline.inputs import Inputs
    from pipeline.runtime import Runtime


class DevicesExecutor(LocalExecutor):
    """Does every job here, image models together with other processes."""

    def __init__(self, devices: int) -> None:
        super().__init__()
        self._devices = devices
        self._others: list[subprocess.Popen[bytes]] = []
        self._at_work: Job | None = None
        self._closed = False
        # Those that torchrun started are waiting already.
        self._meeting = self._met(meet()) if launched_by_torchrun() else None

    def run(self, inputs: "Inputs", runtime: "Runtime", jobs: Sequence[Job], at_once: int = 1) -> Iterator[Done]:
        """Do the jobs, those of image models one after the other and together."""
        if not all(job.together for job in jobs):
            yield from super().run(inputs, runtime, jobs, at_once)
            return
        for job in jobs:
            yield Done(job, self._together(inputs, runtime, job))

    def _together(self, inputs: "Inputs", runtime: "Runtime", job: Job) -> Any:
        self._at_work = job
        try:
            if self._meeting is None:
                self._meeting = self._met(self._started())
            self._meeting.order(order_for(inputs, runtime, job).to_json())
            return take_part(inputs, runtime, job, self._meeting)
        except RuntimeError as error:
            # Mostly the connection to a process that has ended; its own words say more.
            failure = self._end_of_another(error, GRACE_SECONDS)
            if failure is None:
                raise
            raise failure from None
        finally:
            self._at_work = None

    def _end_of_another(self, error: BaseException | None = None, patience: float = 0.0) -> FusionNetXError | None:
        """What ended one of the other processes, waiting a little for its last word; None while all are at work."""
        until = time.monotonic() + patience
        while True:
            # Looked at first: whoever reports a failure is dead right afterwards.
            killed = self._killed()
            failure = self._meeting.failure() if self._meeting is not None else None
            if failure is not None or killed is not None:
                return failure or killed
            if time.monotonic() >= until:
                break
            time.sleep(LOOK_SECONDS / 5)
        if error is not None and connection_lost(error):
            return TrainingError(f"{self._title()}: the connection to another process was lost; run again to go on")
        return None

    def _killed(self) -> TrainingError | None:
        """That a process started here has ended, if one has."""
        for number, process in enumerate(self._others, 2):
            code = process.poll()
            if code is not None:
                how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
                return TrainingError(
                    f"{self._title()}: process {number} of {self._devices} ended {how}; if memory is short, lower "
                    "batch_size or --devices; run again to go on from the last saved step"
                )
        return None

    def _title(self) -> str:
        return self._at_work.title if self._at_work is not None else "several devices"

    def _met(self, meeting: Meeting) -> Meeting:
        """Listen for the end of the others, also while a GPU waits for them."""

        def stop() -> None:
            # Once it is noticed elsewhere there is nothing left to say.
            if self._closed or self._at_work is None:
                return
            try:
                failure = self._end_of_another()
            except RuntimeError:
                return  # the store is gone with the whole run
            Console(stderr=True).print(f"error: {failure}", markup=False, soft_wrap=True)
            self.close()
            os._exit(2)

        def lost_one() -> bool:
            return self._closed or (self._at_work is not None and self._killed() is not None)

        meeting.watch(FAILED, stop, GRACE_SECONDS, or_when=lost_one)
        return meeting

    def _started(self) -> Meeting:
        """Start the other processes and wait until they are there."""
        import torch

        if torch.cuda.is_available():
            require_gpus(self._devices)
        store, place = meeting_place(self._devices)
        for number in range(1, self._devices):
            own = {"RANK": str(number), "LOCAL_RANK": str(number)}
            command = [sys.executable, "-m", "pipeline.execute.follow"]
            # In a session of its own: Ctrl-C is for the leading process, which ends the others.
            process = subprocess.Popen(command, env={**os.environ, **place, **own}, start_new_session=True)
            self._others.append(process)
        return meet({**place, "RANK": "0", "LOCAL_RANK": "0"}, store)

    def close(self) -> None:
        """Let the other processes go; they hold nothing that is not here too."""
        self._closed = True
        if self._meeting is not None:
            with suppress(RuntimeError):  # of a store that was another's and is gone
                self._meeting.end()
        for process in self._others:
            process.kill()
            process.wait()
        if self._meeting is not None:
            self._meeting.leave()
