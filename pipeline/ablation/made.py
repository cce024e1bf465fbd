"""A variant of a run, in a folder of its own inside the run's: what did not change is taken over, the rest is done.

Finished work is taken over by hard link, and only where the fingerprint says it is the same work. Everything in a run
folder is replaced by rename and never written in place, so two folders may share a file.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from data.errors import DataError
from data.files import atomic
from data.progress import Progress
from pipeline.display import Display
from pipeline.facts import STUDIES
from pipeline.inputs import Inputs
from pipeline.make import make
from pipeline.plan import plan_of
from pipeline.recipe import Recipe
from pipeline.run import RECIPE_FILE, Run
from pipeline.runtime import Runtime
from pipeline.step import Step


@dataclass(frozen=True)
class MadeVariant:
    """A finished variant."""

    inputs: Inputs
    taken: int
    """Boosters that were there already."""
    boosters: int


def made_variant(
    base: Inputs,
    outer: Runtime,
    recipe: Recipe,
    place: Path,
    title: str,
    verb: str = "submission",
    *,
    trains_images: bool = False,
) -> MadeVariant:
    """Do the work of a verb for another recipe on the same data, in `place` below the run's folder.

    What the run or another variant of it has done already is taken over; image models are only trained where it is
    said, otherwise one that is missing is refused.
    """
    run = base.run.derive(recipe=recipe, folder=base.run.folder / place)
    runtime = outer.shown_on(VariantDisplay(outer.display, title))
    inputs = base.of(run, runtime)
    run.record()
    taken, boosters = adopt_all([base.run, *other_variants(base.run, run)], inputs, trains_images=trains_images)
    make(inputs, runtime, verb)
    return MadeVariant(inputs, taken, boosters)


def other_variants(base: Run, own: Run) -> list[Run]:
    """The variants of a run that have been begun, without one of them."""
    found = [path.parent for study in STUDIES for path in sorted(base.folder.glob(f"{study}*/{RECIPE_FILE}"))]
    runs = []
    for folder in found:
        # One that was damaged lends nothing.
        try:
            runs += [Run.open(folder)] if folder != own.folder else []
        except DataError:
            continue
    return runs


class VariantDisplay(Display):
    """The display of one variant: bars and warnings under its title, the same stop, but not what every stage says."""

    def __init__(self, outer: Display, title: str) -> None:
        super().__init__(outer.console)
        self._outer = outer
        self._title = title

    def check_stop(self) -> None:
        """The user stops the whole study."""
        self._outer.check_stop()

    def say(self, text: str, style: str | None = None) -> None:
        """The table says it."""

    def warn(self, text: str) -> None:
        """Warnings are for the user, whoever gives them."""
        self._outer.warn(f"{self._title}: {text}")

    @contextmanager
    def task(self, label: str) -> Iterator[Progress]:
        """A bar that names the variant."""
        with self._outer.task(f"{self._title}: {label}") as progress:
            yield progress


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
