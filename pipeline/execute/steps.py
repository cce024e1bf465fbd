"""Steps as jobs: named by kind and key, so that any process that has the run can do them."""

from typing import Any

from pipeline.execute.files import step_files
from pipeline.execute.job import Job
from pipeline.inputs import Inputs
from pipeline.plan import plan_of
from pipeline.runtime import Runtime
from pipeline.step import Step


def step_job(step: Step, position: str, inputs: Inputs, runtime: Runtime) -> Job:
    """The doing of a step."""
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
        together=step.kind in ("fold model", "test lesions"),
    )


def do_step(inputs: Inputs, runtime: Runtime, *address: Any) -> None:
    """Do a step of a run."""
    step = plan_of(inputs)[address]
    step.work.do(step, inputs, runtime)
