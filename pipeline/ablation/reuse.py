"""Take over finished work of another run folder, by hard link and only where the fingerprint says it is the same work.

Everything in a run folder is replaced by rename and never written in place, so two folders may share a file: a folder
that makes something anew gets a file of its own, and the other keeps the old one.
"""

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from data.errors import DataError
from data.files import atomic
from pipeline.inputs import Inputs
from pipeline.plan import plan_of
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


def adopt_all(bases: Sequence[Run], inputs: Inputs, *, trains_images: bool = False) -> tuple[int, int]:
    """Take over every step of a variant that one of some runs has done; how many boosters, and how many there are.

    Where no image model is to be trained, one that the first of the runs does not have is refused.
    """
    # Planned anew after the folds: how many there are is known then.
    adopt_from(bases, plan_of(inputs).folds, inputs.run)
    plan = plan_of(inputs)
    taken = {step: adopt_from(bases, step, plan.run) for step in plan}
    for step in (step for step in plan.of("fold model") if not taken[step] and not trains_images):
        raise DataError(
            f"{step.name} is missing or stale in {bases[0].folder}; run `fusionnetx oof --run {bases[0].folder}` first"
        )
    boosters = plan.of("booster")
    return sum(taken[step] for step in boosters), len(boosters)


def adopt_from(bases: Sequence[Run], step: Step, own: Run) -> bool:
    """Whether a step is done now, by the first run that has done it; one whose own needs are missing is not."""
    try:
        return any(adopt(step, base, own) for base in bases)
    except DataError:
        return False
