"""The mutation check: plant each known leak, run the audit on the leaking pipeline, and see what notices it.

A leak that nothing notices means that the audit is blind there. The first row plants nothing and must stay clean: an
audit that always cries is as useless as one that never does.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.cohort import DataFolder
from data.errors import FusionNetXError, TrainingError
from data.progress import Progress, silent
from pipeline.audit.audit import Audit
from pipeline.audit.check import Check, Status
from pipeline.audit.data_leaks import DATA_LEAKS, Pictures, data_findings
from pipeline.audit.deal import deal
from pipeline.audit.experiment import finished_outcome
from pipeline.audit.independence import Trio, independence, take_over_image_models
from pipeline.audit.null_test import NullTest, judged
from pipeline.audit.own_patient import OwnPatient, features_by_patient
from pipeline.audit.variants import relabelled_by, scratch, strict_recipe, without_test
from pipeline.recipe import Recipe
from pipeline.workspace import Workspace
from research.planted.leaks import LEAKS, Leak
from tabular.recipe import BlendRecipe

LESIONS = 500
"""Lesions of each planted leak."""
NOTHING = "nothing planted"
DEALS_TRIED = 10
DEALS, ALARM = 199, 0.01
"""One draw per leak: the table shows how strong a leak is, the full null test is a check of its own."""


@dataclass(frozen=True)
class Verdict:
    """What noticed one leak."""

    leak: str
    contract: str = ""
    """The message with which the pipeline itself refused to go on."""
    findings: tuple[str, ...] = ()
    """What the exact checks found."""
    null_score: float | None = None
    """Score of the column farthest from chance on one deal of the labels; None where no run came to an end."""
    null_distance: float | None = None
    null_p: float | None = None

    @property
    def caught_by(self) -> tuple[str, ...]:
        """Which parts noticed."""
        by_null = self.null_p is not None and self.null_p <= ALARM
        kinds = dict.fromkeys(finding.partition(":")[0] for finding in self.findings)
        return (*(("contract",) if self.contract else ()), *kinds, *(("null test",) if by_null else ()))

    @property
    def right(self) -> bool:
        """Caught, or rightly found clean."""
        return bool(self.caught_by) != (self.leak == NOTHING)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "caught_by": list(self.caught_by), "right": self.right}


class Mutations:
    """The leaks, the strict recipe they are planted in and the results of the pipeline without any."""

    def __init__(self, space: Workspace, recipe: Recipe, data: DataFolder, folder: Path) -> None:
        self.space, self.recipe, self.data, self.folder = space, recipe, data, folder
        self.clean = folder / "clean"
        self.null = learned_blend(recipe, binary=len(data.train.task.classes) == 2)
        self.deal_number = 0

    def verdicts(self, leaks: tuple[Leak, ...] = tuple(LEAKS), progress: Progress = silent) -> Iterator[Verdict]:
        """One verdict per leak, the clean pipeline first."""
        possible = [leak for leak in leaks if leak.stage == "tables" or self.recipe.image_models]
        total = 1 + len(possible) + len(DATA_LEAKS)
        progress(0, total)
        yield self.verdict(NOTHING, self.clean, None)
        for done, leak in enumerate(possible, start=1):
            progress(done, total)
            with leak.plant():
                yield self.verdict(leak.name, self.folder / f"leak_{done}", leak)
        yield from self.data_verdicts()
        progress(total, total)

    def verdict(self, name: str, folder: Path, leak: Leak | None) -> Verdict:
        """Run everything on the pipeline as it now is."""
        reused = self.clean if leak is not None and leak.stage == "tables" else None
        trio = Trio(self.space, self.recipe, self.data, folder, stage_one=reused)
        findings: list[str] = []
        try:
            findings += independence(trio)
            moved = features_by_patient(trio.as_it_is, self.data.train).undeclared
            findings += [f"own patient: {feature} looks at other patients" for feature in moved]
            far = (self.first_null_run(folder) if leak is None else self.null_run(folder, reused)).farthest
        except FusionNetXError as error:
            return Verdict(name, str(error), tuple(findings))
        return Verdict(name, "", tuple(findings), far.score, far.distance, far.p)

    def first_null_run(self, folder: Path) -> NullTest:
        """The null run of the clean pipeline, on the first deal that leaves every inner split both classes."""
        for number in range(DEALS_TRIED):
            self.deal_number = number
            try:
                return self.null_run(folder, None)
            except TrainingError:
                if number + 1 == DEALS_TRIED:
                    raise
        raise AssertionError

    def null_run(self, folder: Path, reused: Path | None) -> NullTest:
        """The null test with one deal of the labels."""
        giver = deal(self.data.train.groups, np.random.default_rng([self.recipe.seed, 2, self.deal_number]))
        run = scratch(self.space, folder / "null", self.null, relabelled_by(self.data, giver))
        if reused is not None:
            take_over_image_models(reused / "null", run)
        train = self.data.train
        outcome = [(giver, finished_outcome(run))]
        return judged(
            outcome, train.target, train.groups, seed=self.recipe.seed, score=train.task.score, deals=DEALS, alarm=ALARM
        )

    def data_verdicts(self) -> Iterator[Verdict]:
        """The same for leaks that sit in the data."""
        if self.data.train_images is None:
            return
        run = scratch(self.space, self.clean / "as_it_is", self.recipe, self.data)
        pictures = Pictures(self.data.train, np.asarray(run.train_pack.images), run.train_pack.present, run.folds.fold)
        for leak in DATA_LEAKS:
            already = set(data_findings(pictures))
            planted = [finding for finding in data_findings(leak.plant(pictures)) if finding not in already]
            yield Verdict(leak.name, findings=tuple(planted))


def learned_blend(recipe: Recipe, *, binary: bool) -> Recipe:
    """The recipe with a blend that learns, so that a leak in learning it can show."""
    if not binary:
        return recipe
    tabular = recipe.tabular.model_copy(update={"blend": BlendRecipe(method="stacker")})
    return recipe.model_copy(update={"tabular": tabular})


def planted_leaks(audit: Audit, own: OwnPatient) -> Check:
    """Plant every leak in the pipeline of an audit; passed when each is noticed and the clean pipeline is not."""
    recipe = strict_recipe(audit.space.recipe, without=own.families, one_of_each=True)
    data = without_test(audit.thinned(LESIONS))
    with audit.space.display.task("planted leaks") as progress:
        check = Mutations(audit.space, recipe, data, audit.scratch_dir / "mutations")
        verdicts = list(check.verdicts(progress=progress))
    right, planted = sum(verdict.right for verdict in verdicts[1:]), len(verdicts) - 1
    clean = "the clean pipeline was left alone" if verdicts[0].right else "and the clean pipeline accused"
    status: Status = "passed" if all(verdict.right for verdict in verdicts) else "failed"
    facts = {"verdicts": [verdict.as_dict() for verdict in verdicts]}
    return Check("mutations", status, f"{right} of {planted} planted leaks caught, {clean}", facts)
