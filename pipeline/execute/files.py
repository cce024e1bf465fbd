"""What jobs read and write, spelled so that another machine finds it: `run/...`, `data/`, `cache/...`, `weights/`.

Only a store needs these names; workers that share the driver's folders read the files where they are.
"""

from pathlib import Path

from pipeline.inputs import Inputs
from pipeline.step import Step

FOLDS = ("run/folds.parquet", "run/folds.json")


def data_files(inputs: Inputs) -> tuple[str, ...]:
    """The data folder and the folds: every job reads them to know what it is about."""
    if inputs.run.data_dir is not None:
        return "data/", *FOLDS
    source, cache = inputs.source_dir, inputs.runtime.cache_dir
    inside = (f"cache/{source.relative_to(cache).as_posix()}",) if source.is_relative_to(cache) else ()
    return *inside, *FOLDS


def step_files(step: Step, inputs: Inputs) -> tuple[str, ...]:
    """What the job of a step reads: the data, what the step needs of others, and what it left when it was stopped."""
    named = [run_file(path, inputs) for need in all_needs(step) for path in need]
    # What searches found is part of the plan by which a worker knows the step.
    tuned = [run_file(path, inputs) for path in inputs.run.folder.glob("tabular/*/tuning/**/[rt]*.json")]
    own = run_file(step.folder, inputs)
    return (*data_files(inputs), *step.work.reads(inputs), *dict.fromkeys([*named, *tuned]), own)


def all_needs(step: Step) -> list[tuple[Path, ...]]:
    """Files of the steps that a step needs, and the reports by which those are known to be done."""
    found = [need.files() for need in step.needs]
    for need in step.needs:
        if need.step is not None:
            found += all_needs(need.step)
    return found


def run_file(path: Path, inputs: Inputs) -> str:
    """A path of the run folder."""
    return f"run/{path.relative_to(inputs.run.folder).as_posix()}"
