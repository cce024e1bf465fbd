"""From the name of a piece of work to the function that does it; the functions live with their stages."""

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pipeline.execute.job import Job

if TYPE_CHECKING:
    from pipeline.workspace import Workspace

WORK = MappingProxyType(
    {
        "fold model": ("pipeline.steps.image_jobs", "train_fold_model"),
        "test predictions": ("pipeline.steps.image_jobs", "predict_test_lesions"),
        "encoder": ("pipeline.steps.features", "fit_encoder"),
        "booster": ("pipeline.steps.tabular", "fit_booster"),
        "trials": ("pipeline.steps.tuning", "run_trials"),
        "search": ("pipeline.steps.tuning", "finish_search"),
        "system": ("research.systems.run", "run_system"),
        "replicates": ("pipeline.steps.intervals", "replicates_of"),
    }
)
"""Work by name: module and function, which takes the workspace and the job's arguments."""


def perform(space: "Workspace", job: Job) -> Any:
    """Do one job in this process; its answer must be something that JSON can hold."""
    module, function = WORK[job.work]
    return getattr(import_module(module), function)(space, *job.arguments)
