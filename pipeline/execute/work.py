"""From the name of a job's function to doing it; the functions live with the steps."""

import re
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pipeline.execute.job import Job

if TYPE_CHECKING:
    from pipeline.inputs import Inputs
    from pipeline.runtime import Runtime

OWN = re.compile(r"(pipeline|research)(\.[a-z_]+)+:[a-z_]+")
"""Functions that a job may name: this project's alone."""


def perform(inputs: "Inputs", runtime: "Runtime", job: Job) -> Any:
    """Do one job in this process; its answer must be something that JSON can hold."""
    if not OWN.fullmatch(job.function):
        raise ValueError(f"{job.function!r} is no function of a job")
    module, _, function = job.function.partition(":")
    own = replace(runtime, position=job.position, job_cpus=job.cpus)
    return getattr(import_module(module), function)(inputs, own, *job.arguments)
