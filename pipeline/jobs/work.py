"""From the name of a piece of work to the function that does it; the functions live with their stages."""

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pipeline.jobs.job import Job

if TYPE_CHECKING:
    from pipeline.workspace import Workspace

WORK = MappingProxyType(
    {
        "fold model": ("pipeline.stages.image_jobs", "train_fold_model"),
        "test predictions": ("pipeline.stages.image_jobs", "predict_test_lesions"),
        "encoder": ("pipeline.stages.features", "fit_encoder"),
        "booster": ("pipeline.stages.tabular", "fit_booster"),
        "trials": ("pipeline.stages.tuning", "run_trials"),
        "search": ("pipeline.stages.tuning", "finish_search"),
        "system": ("pipeline.systems.run", "run_system"),
        "replicates": ("pipeline.stages.intervals", "replicates_of"),
    }
)
"""Work by name: module and function, which takes the workspace and the job's arguments."""


def perform(space: "Workspace", job: Job) -> Any:
    """Do one job in this process; its answer must be something that JSON can hold."""
    module, function = WORK[job.work]
    return getattr(import_module(module), function)(space, *job.arguments)
