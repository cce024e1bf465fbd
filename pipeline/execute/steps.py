"""Steps as jobs: named by kind and key, so that any process that has the run can do them."""

from dataclasses import replace
from typing import Any

from pipeline.execute.files import step_files
from pipeline.execute.job import Job
from pipeline.inputs import Inputs
from pipeline.plan import plan_of
from pipeline.runtime import Runtime
from pipeline.step import Step
from pipeline.steps.tuning import SearchParameters

TOGETHER = ("fold model", "test lesions")
"""Kinds of steps that are image models at work."""


def step_job(step: Step, position: str, inputs: Inputs, runtime: Runtime, after: str = "") -> Job:
    """The doing of a step, after the job of that title."""
    resources = step.work.resources(inputs, runtime)
    return Job(
        function="pipeline.execute.steps:do_step",
        arguments=(step.kind, *step.key),
        title=step.name,
        position=position,
        cpus=resources.cpus,
        gpus=resources.gpus,
        inputs=step_files(step, inputs),
        outputs=(f"run/{step.folder.relative_to(inputs.run.folder).as_posix()}",),
        after=after,
        together=step.kind in TOGETHER,
    )


def do_step(inputs: Inputs, runtime: Runtime, *address: Any) -> None:
    """Do a step of a run."""
    step = plan_of(inputs)[address]
    step.work.do(step, inputs, runtime)


def run_trials(inputs: Inputs, runtime: Runtime, storage: str, *key: Any) -> None:
    """Do a worker's share of the trials of a search: until the study has as many as the recipe asks for."""
    step = plan_of(inputs)["tuning", *key]
    assert isinstance(step.work, SearchParameters)
    with runtime.display.task(f"{step.name}: trials") as progress:
        step.work.search(step, inputs, replace(runtime, storage=storage or None), progress, last=False)
