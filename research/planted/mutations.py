"""The mutation check: plant each known leak, run the audit on the leaking pipeline, and see what notices it.

A leak that nothing notices means that the audit is blind there. The first row plants nothing and must stay clean: an
audit that always cries is as useless as one that never does.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort, DataFolder
from data.errors import FusionNetXError, TrainingError
from data.folds import FoldRecipe, make_folds
from data.progress import Progress, silent
from pipeline.audit.audit import Audit
from pipeline.audit.check import Check, Status
from pipeline.audit.deal import Ints, deal
from pipeline.audit.duplicates import across, alike, measured_columns, same_patients
from pipeline.audit.giveaways import fold_columns
from pipeline.audit.hashes import Bytes
from pipeline.audit.independence import Trio, independence
from pipeline.audit.null_test import Outcome, judged
from pipeline.audit.own_patient import OwnPatient, features_by_patient
from pipeline.audit.scratch import finished, outcome_of, scratch, take_over_image_models
from pipeline.audit.variants import relabelled_by, strict_recipe, without_test
from pipeline.inputs import Inputs
from pipeline.recipe import Recipe
from pipeline.runtime import Runtime
from research.planted.leaks import LEAKS, Leak
from tabular.recipe import BlendRecipe

MOST_COPIES = 40


@dataclass(frozen=True)
class Pictures:
    """A cohort with its pictures and folds."""

    cohort: Cohort
    images: Bytes
    present: npt.NDArray[np.bool_]
    fold: Ints


@dataclass(frozen=True)
class DataLeak:
    """One mistake in the data."""

    name: str
    plant: Callable[[Pictures], Pictures]


def replicated_before_the_split(given: Pictures) -> Pictures:
    """Malignant lesions are copied, mirrored and turned, each copy as a new patient; then the folds are made."""
    cohort, task = given.cohort, given.cohort.task
    rows = np.flatnonzero((cohort.target > 0) & given.present)[:MOST_COPIES]
    copies = cohort.table[rows].with_columns(
        (pl.col(name).cast(pl.String) + "-copy").alias(name) for name in (task.lesion, task.group)
    )
    larger = dataclasses.replace(cohort, table=pl.concat([cohort.table, copies]), fingerprint="replicated")
    turned = np.rot90(given.images[rows][:, :, ::-1], axes=(1, 2))
    folds = make_folds(larger, FoldRecipe(count=int(given.fold.max()) + 1, max_positive_imbalance=9.0))
    return Pictures(
        larger,
        np.concatenate([given.images, turned]),
        np.concatenate([given.present, given.present[rows]]),
        folds.fold,
    )


def a_column_made_fold_by_fold(given: Pictures) -> Pictures:
    """A measurement is shifted from fold to fold, as a column computed fold by fold would be."""
    name = measured_columns(given.cohort)[0]
    spread = given.cohort.table[name].std()
    shifted = pl.col(name) + 2 * pl.Series(given.fold) * spread
    return dataclasses.replace(
        given, cohort=dataclasses.replace(given.cohort, table=given.cohort.table.with_columns(shifted.alias(name)))
    )


DATA_LEAKS: Sequence[DataLeak] = (
    DataLeak("lesions replicated before the split, as new patients", replicated_before_the_split),
    DataLeak("a column that knows the fold", a_column_made_fold_by_fold),
)


def data_findings(given: Pictures) -> list[str]:
    """What the searches of the data find wrong with a cohort, its pictures and its folds."""
    pairs = alike(given.images, given.present)
    copies = [pair for pair in across(pairs, given.fold) if pair.copy]
    people = same_patients(given.cohort, pairs)
    knowing = [column for column in fold_columns(given.cohort, given.fold) if column.knows_the_fold]
    found = [f"copies: {len(copies)} copied pictures across folds"] if copies else []
    found += [f"two ids: {len(people)} pairs of patient ids share lesions"] if people else []
    found += [f"fold columns: {column.name} knows the fold (p {column.p:.1e})" for column in knowing]
    return found


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


@dataclass(frozen=True)
class Mutations:
    """The leaks, the strict recipe they are planted in and the results of the pipeline without any."""

    inputs: Inputs
    runtime: Runtime
    recipe: Recipe
    data: DataFolder
    folder: Path

    @property
    def clean(self) -> Path:
        """Folder of the pipeline without a leak."""
        return self.folder / "clean"

    def verdicts(self, leaks: tuple[Leak, ...] = tuple(LEAKS), progress: Progress = silent) -> Iterator[Verdict]:
        """One verdict per leak, the clean pipeline first."""
        possible = [leak for leak in leaks if leak.stage == "tables" or self.recipe.image_models]
        total = 1 + len(possible) + len(DATA_LEAKS)
        progress(0, total)
        yield self.verdict(NOTHING, self.clean)
        for done, leak in enumerate(possible, start=1):
            progress(done, total)
            with leak.plant():
                yield self.verdict(leak.name, self.folder / f"leak_{done}", leak)
        yield from self.data_verdicts()
        progress(total, total)

    def verdict(self, name: str, folder: Path, leak: Leak | None = None) -> Verdict:
        """Run everything on the pipeline as it now is."""
        reused = self.clean if leak is not None and leak.stage == "tables" else None
        trio = Trio(self.inputs, self.runtime, self.recipe, self.data, folder, stage_one=reused)
        train, findings = self.data.train, list[str]()
        try:
            findings += independence(trio)
            moved = features_by_patient(self.recipe, train).undeclared
            findings += [f"own patient: {feature} looks at other patients" for feature in moved]
            dealt = [self.dealt_run(folder, reused, self.deal_number)]
            far = judged(
                dealt, train.target, train.groups, seed=self.recipe.seed, score=train.task.score, deals=DEALS,
                alarm=ALARM,
            ).farthest  # fmt: skip
        except FusionNetXError as error:
            return Verdict(name, str(error), tuple(findings))
        return Verdict(name, "", tuple(findings), far.score, far.distance, far.p)

    @cached_property
    def deal_number(self) -> int:
        """The first deal of the labels that leaves every inner split of the clean pipeline both classes."""
        for number in range(DEALS_TRIED - 1):
            with suppress(TrainingError):
                self.dealt_run(self.clean, None, number)
                return number
        return DEALS_TRIED - 1

    def dealt_run(self, folder: Path, reused: Path | None, number: int) -> tuple[Ints, Outcome]:
        """Both stages on one deal of the labels; the blend learns, so that a leak in learning it can show."""
        train = self.data.train
        giver = deal(train.groups, np.random.default_rng([self.recipe.seed, 2, number]))
        recipe = learned_blend(self.recipe, binary=len(train.task.classes) == 2)
        inputs = scratch(self.inputs, self.runtime, folder / "null", recipe, relabelled_by(self.data, giver))
        if reused is not None:
            take_over_image_models(reused / "null", inputs.run)
        return giver, outcome_of(finished(inputs))

    def data_verdicts(self) -> Iterator[Verdict]:
        """The same for leaks that sit in the data."""
        if self.data.train_images is None:
            return
        run = scratch(self.inputs, self.runtime, self.clean / "as_it_is", self.recipe, self.data)
        pack = run.train_pack
        pictures = Pictures(self.data.train, np.asarray(pack.images), pack.present, run.folds.fold)
        already = set(data_findings(pictures))
        for leak in DATA_LEAKS:
            planted = [finding for finding in data_findings(leak.plant(pictures)) if finding not in already]
            yield Verdict(leak.name, findings=tuple(planted))


def learned_blend(recipe: Recipe, *, binary: bool) -> Recipe:
    """The recipe with a blend that learns."""
    if not binary:
        return recipe
    tabular = recipe.tabular.model_copy(update={"blend": BlendRecipe(method="stacker")})
    return recipe.model_copy(update={"tabular": tabular})


def planted_leaks(audit: Audit, own: OwnPatient) -> Check:
    """Plant every leak in the pipeline of an audit; passed when each is noticed and the clean pipeline is not."""
    data = without_test(audit.thinned(LESIONS))
    binary = len(data.train.task.classes) == 2
    recipe = strict_recipe(audit.recipe, without=own.families, one_of_each=True, binary=binary)
    with audit.runtime.display.task("planted leaks") as progress:
        check = Mutations(audit.inputs, audit.runtime, recipe, data, audit.scratch_dir / "mutations")
        verdicts = list(check.verdicts(progress=progress))
    right, planted = sum(verdict.right for verdict in verdicts[1:]), len(verdicts) - 1
    clean = "the clean pipeline was left alone" if verdicts[0].right else "and the clean pipeline accused"
    status: Status = "passed" if all(verdict.right for verdict in verdicts) else "failed"
    facts = {"verdicts": [verdict.as_dict() for verdict in verdicts]}
    return Check("mutations", status, f"{right} of {planted} planted leaks caught, {clean}", facts)
