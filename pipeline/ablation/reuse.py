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
from pipeline.run import Step
from pipeline.steps.features import encoder_step
from pipeline.steps.oof import fold_models, has_test_images, pair_models
from pipeline.steps.tabular import member_jobs
from pipeline.workspace import Workspace


def adopt(step: Step, folder: Path) -> bool:
    """True when the step is done, perhaps by the work that `folder` of another run holds."""
    if step.why() is None:
        return True
    done = Step(step.name, folder, {}, report_name=step.report_name).report()
    if done is None or done["fingerprint"] != step.fingerprint:
        return False
    step.begin()
    link_all(folder, step.folder, [*done["artefacts"], step.report_name])
    return step.why() is None


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


def adopt_stage_one(base: Workspace, space: Workspace) -> None:
    """Take over every image model; none is trained here, so one that the run does not have is refused."""
    if not space.recipe.image_models:
        return
    jobs = [*fold_models(space), *(pair_models(space) if space.recipe.tabular.nested else [])]
    for job in jobs:
        if not adopt(job.step, counterpart(base, space, job.folder)):
            raise DataError(f"{job.title} is missing or stale in {base.run_dir}; run `fusionnetx oof` first")
    if has_test_images(space):
        for job in fold_models(space):
            adopt(job.test_step, counterpart(base, space, job.test_step.folder))
    if space.recipe.image_models == base.recipe.image_models:
        done = Step("", base.run_dir / "oof", {}).artefacts()
        link_all(base.run_dir / "oof", space.run_dir / "oof", [*done, "report.json"])


def adopt_stage_two(base: Workspace, space: Workspace) -> tuple[int, int]:
    """Boosters that did not change; returns how many were taken over and how many there are."""
    jobs = member_jobs(space)
    for fold in range(space.folds.count):
        step = encoder_step(space, fold)
        adopt(step, counterpart(base, space, step.folder))
    taken = sum(adopt(job.step, counterpart(base, space, job.folder)) for job in jobs)
    return taken, len(jobs)


def counterpart(base: Workspace, space: Workspace, folder: Path) -> Path:
    """The same folder in the run that the variant is of."""
    return base.run_dir / folder.relative_to(space.run_dir)
