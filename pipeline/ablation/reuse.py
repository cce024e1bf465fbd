"""Take over finished work of another run folder, by hard link and only where the fingerprint says it is the same work.

Everything in a run folder is replaced by rename and never written in place, so two folders may share a file: a folder
that makes something anew gets a file of its own, and the other keeps the old one.
"""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from data.errors import DataError
from data.files import atomic
from pipeline.inputs import Inputs
from pipeline.plan import Plan, plan_of
from pipeline.run import Run
from pipeline.step import Step


def adopt(step: Step, base: Run, own: Run) -> bool:
    """True when the step is done, perhaps by the work that another run holds in the same place."""
    if step.stale_reason() is None:
        return True
    folder = base.folder / step.folder.relative_to(own.folder)
    there = Step(step.kind, step.key, step.name, folder, step.work, step.settings, report_name=step.report_name)
    report = there.report()
    if report is None or report["fingerprint"] != step.fingerprint or report.get("step") != step.name:
        return False
    step.begin()
    link_all(folder, step.folder, [*report["artefacts"], step.report_name])
    return step.stale_reason() is None


def link_all(source: Path, target: Path, names: Iterable[str]) -> None:
    """Give files of one folder a place in another; where that cannot be, copy them."""
    for name in names:
        if not (source / name).is_file():
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).unlink(missing_ok=True)
        try:
            os.link(source / name, target / name)
        except OSError:
            with atomic(target / name) as temporary:
                shutil.copyfile(source / name, temporary)


def adopt_all(base: Run, inputs: Inputs) -> tuple[int, int]:
    """Take over every step of a variant that its base has done; how many boosters were taken, and how many there are.

    No image model is trained for a variant, so one that the base does not have is refused.
    """
    # Planned anew after the folds: how many there are is known then.
    adopt(plan_of(inputs).folds, base, inputs.run)
    plan = plan_of(inputs)
    taken = {step: adopted(step, base, plan) for step in plan}
    for step in (step for step in plan.of("fold model") if not taken[step]):
        raise DataError(
            f"{step.name} is missing or stale in {base.folder}; run `fusionnetx oof --run {base.folder}` first"
        )
    boosters = plan.of("booster")
    return sum(taken[step] for step in boosters), len(boosters)


def adopted(step: Step, base: Run, plan: Plan) -> bool:
    """Whether a step is done now; one whose own needs are missing is not."""
    try:
        return adopt(step, base, plan.run)
    except DataError:
        return False
