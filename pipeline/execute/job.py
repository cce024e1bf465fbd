"""What a job is, and what an executor must do with jobs.

A job is named, not carried: a few words and numbers from which any process that has the recipe, the data and the run
folder can do the work. It writes into the run folder, and the report of its step there is what says that it is done.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pipeline.inputs import Inputs
    from pipeline.runtime import Runtime

Argument = str | int


@dataclass(frozen=True)
class Job:
    """One piece of work of a run."""

    function: str
    """`module:function` of this project; it takes the inputs, the runtime and the arguments."""
    arguments: tuple[Argument, ...]
    title: str
    """How messages name it."""
    position: str = ""
    """`[3/20]`, for messages."""
    cpus: int = 1
    """Threads it runs."""
    gpus: float = 0.0
    after: str = ""
    """Title of the job that must be done before it; empty: none."""
    together: bool = False
    """Whether several devices can do it together."""
    inputs: tuple[str, ...] = ()
    """Files and folders it reads, as `run/...`, `data`, `cache/...`, `weights/...` (see `shared_store`)."""
    outputs: tuple[str, ...] = ()
    """Folders it writes, spelled the same way."""

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @staticmethod
    def from_dict(facts: Mapping[str, Any]) -> "Job":
        """Read what `as_dict` wrote, after a round trip through JSON."""
        lists = {name: tuple(facts[name]) for name in ("arguments", "inputs", "outputs")}
        return Job(**{**facts, **lists})


@dataclass(frozen=True)
class Done:
    """A finished job and its answer: None, or a few numbers."""

    job: Job
    answer: Any = None


def free_to_begin(waiting: Sequence[Job], at_work: Iterable[Job]) -> list[Job]:
    """Those of the waiting jobs that come after no job that is still open."""
    still_open = {job.title for job in (*waiting, *at_work)}
    return [job for job in waiting if job.after not in still_open]


class Executor(Protocol):
    """Has jobs done."""

    spreads: bool
    """True when jobs run in other processes, so that it pays to cut work that one process would share."""

    store_url: str | None
    """Where workers fetch their inputs; None where they see the driver's folders."""

    def gpus(self, runtime: "Runtime") -> float:
        """GPUs that jobs can have."""

    def expect(self, inputs: "Inputs", at_once: int) -> None:
        """So many image models are about to be done: start what takes long to start."""

    def run(self, inputs: "Inputs", runtime: "Runtime", jobs: Sequence[Job], at_once: int = 1) -> Iterator[Done]:
        """Do the jobs and yield each as it finishes, in any order but that a job comes `after` another.

        `at_once` bounds the jobs that one process does side by side. The first job that fails ends the others.
        """

    def close(self) -> None:
        """Give back whatever was started."""


OWN = re.compile(r"(pipeline|research)(\.[a-z_]+)+:[a-z_]+")
"""Functions that a job may name: this project's alone."""


def perform(inputs: "Inputs", runtime: "Runtime", job: Job) -> Any:
    """Do one job in this process; its answer must be something that JSON can hold."""
    if not OWN.fullmatch(job.function):
        raise ValueError(f"{job.function!r} is no function of a job")
    module, _, function = job.function.partition(":")
    own = replace(runtime, position=job.position, job_cpus=job.cpus)
    return getattr(import_module(module), function)(inputs, own, *job.arguments)
