"""A process that follows another: it waits for orders until the other ends, takes its part in each job, writes nothing.

`python -m pipeline.execute.follow` is what `--devices` starts; of the processes of `torchrun`, all but one come here.
"""

import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import replace
from typing import Any

from rich.console import Console

from data.errors import FusionNetXError
from pipeline.display import Display
from pipeline.execute.job import Job, perform
from pipeline.execute.meeting import GRACE_SECONDS, LOOK_SECONDS, OVER, Meeting, connection_lost, meet
from pipeline.execute.order import Order, inputs_of, require_shared
from pipeline.inputs import Inputs
from pipeline.memory import keep_freed_memory
from pipeline.runtime import Runtime


def take_part(inputs: Inputs, runtime: Runtime, job: Job, meeting: Meeting) -> Any:
    """Do a job together with the processes that have met."""
    return perform(inputs, replace(runtime, ranks=meeting.ranks, sharers=meeting.on_this_machine), job)


def follow() -> int:
    """Do what is ordered until the leading process ends; the exit code."""
    # A request to stop is for the leading process, whose end this one notices.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    keep_freed_memory()
    meeting = meet()
    meeting.watch(OVER, lambda: os._exit(0))
    while True:
        try:
            obey(Order.from_json(meeting.order()), meeting)
        except BaseException as error:
            if ended(meeting, error):
                return 0
            with suppress(RuntimeError):
                meeting.report_failure(error)
            if not isinstance(error, FusionNetXError):
                traceback.print_exc()
            return 1


def ended(meeting: Meeting, error: BaseException) -> bool:
    """Whether the leading process is done with this one; a lost connection is its to explain, and it ends this one."""
    until = time.monotonic() + 2 * GRACE_SECONDS
    while not meeting.over():
        if not connection_lost(error) or time.monotonic() >= until:
            return False
        time.sleep(LOOK_SECONDS)
    return True


def obey(order: Order, meeting: Meeting) -> None:
    """Carry out one order, quietly."""
    require_shared(order)
    inputs = inputs_of(order, Display(Console(quiet=True)))
    with suppress(FileNotFoundError):
        # Paths in a recipe are meant from where the user stands.
        os.chdir(str(order.folders["working_dir"]))
    take_part(inputs, inputs.runtime, order.job, meeting)


if __name__ == "__main__":
    sys.exit(follow())
