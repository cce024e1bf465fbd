"""The audit of a recipe and its data, check by check: what was found, whether it is a failure, and in which figures.

Three kinds of answer: `passed`, `failed` (a leak: the command ends with 1), and `look` (something a person should see
and judge, such as a column that differs between the tables).
"""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from data.cohort import Cohort, DataFolder
from data.errors import DataError
from data.files import write_json
from data.progress import Progress
from pipeline.audit.check import Check, Status
from pipeline.audit.deal import Ints
from pipeline.audit.drift import LARGE, drift
from pipeline.audit.duplicates import across, alike, same_patients
from pipeline.audit.giveaways import fold_columns, patient_columns
from pipeline.audit.independence import SCORED_FOLD, Trio, independence
from pipeline.audit.null_test import null_test
from pipeline.audit.own_patient import OwnPatient, features_by_patient, predictions_by_patient
from pipeline.audit.scratch import pipeline_experiment
from pipeline.audit.show import show_check, show_summary
from pipeline.audit.variants import null_recipe, strict_recipe, thinned, without_test
from pipeline.inputs import Inputs
from pipeline.plan import planned_folds
from pipeline.provenance import commit, versions
from pipeline.recipe import Recipe
from pipeline.runtime import Runtime
from pipeline.seeds import derive

NULL_LESIONS, EXACT_LESIONS = 4000, 800
"""Lesions of the null test and of the exact checks."""
SCRATCH = ".audit"
"""Folder of the scratch runs in the run folder; gone when the audit ends."""
SHOWN = 20
"""Findings, columns and pairs of one kind that are kept in audit.json."""

Planted = Callable[["Audit", OwnPatient], Check]
"""Plants leaks in the pipeline of an audit and says which were found."""


@dataclass(frozen=True)
class Audit:
    """The checks of a run's recipe on its data; scratch runs live in `scratch_dir`."""

    inputs: Inputs
    runtime: Runtime
    scratch_dir: Path
    draws: int
    planted: Planted | None = None

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise DataError(f"--draws {self.draws}: the null test needs one at least")

    @property
    def recipe(self) -> Recipe:
        """What is audited."""
        return self.inputs.run.recipe

    @property
    def train(self) -> Cohort:
        """The training lesions."""
        return self.inputs.data.train

    @property
    def words(self) -> dict[str, str]:
        """What lesions and patients are called in these data."""
        return self.train.task.words

    @cached_property
    def fold(self) -> Ints:
        """Fold of every training lesion, as the run has it or would have it."""
        return planned_folds(self.inputs).fold

    def checks(self) -> Iterator[Check]:
        """Run every check; each is yielded as soon as it is done."""
        data = self.thinned(EXACT_LESIONS)
        own = features_by_patient(self.recipe, data.train if data.test is None else data.test)
        exact = strict_recipe(self.recipe, without=own.families, binary=len(data.train.task.classes) == 2)
        trio = Trio(self.inputs, self.runtime, exact, data, self.scratch_dir / "exact")
        with self.runtime.display.task("exact checks") as progress:
            yield self.exact(trio, progress)
        yield self.own_patient(own, trio)
        yield self.null()
        yield Check("mutations", "not done", "left out") if self.planted is None else self.planted(self, own)
        yield from self.pictures()
        yield self.folds_given_away()
        yield self.patients_named()
        yield self.drifted()

    def thinned(self, lesions: int) -> DataFolder:
        """Fewer lesions of the same data."""
        return thinned(self.inputs.data, lesions, derive(self.recipe.seed, "audit", lesions))

    def exact(self, trio: Trio, progress: Progress) -> Check:
        """Turn answers, measurements and pixels of one fold."""
        findings = independence(trio, progress)
        rows = len(trio.scored_rows)
        summary = (
            f"nothing made for fold {SCORED_FOLD} changed when its {rows} {self.words['rows']} did"
            if not findings
            else f"{len(findings)} things know of the fold they predict (first: {findings[0]})"
        )
        facts = {"findings": findings[:SHOWN], "count": len(findings), "left_open_by_recipe": self.left_open()}
        return Check("independence", "failed" if findings else "passed", summary, facts)

    def left_open(self) -> list[str]:
        """Paths of labels that the recipe keeps open on purpose, with the key that closes each."""
        tabular, found = self.recipe.tabular, []
        if self.recipe.image_models and not tabular.nested:
            found.append(
                "image columns that stage two trains on know the scored fold (tabular.nested = true closes it)"
            )
        if tabular.optimistic:
            found.append(f"{tabular.optimistic}; tabular.tune.scope = 'fold' closes it")
        if tabular.blend.method in ("stacker", "weighted"):
            found.append("a learned blend weighs members that know the scored fold (tabular.blend.method = 'mean')")
        return found

    def own_patient(self, own: OwnPatient, trio: Trio) -> Check:
        """One patient at a time against the whole table."""
        run, test = trio.as_it_is, trio.data.test
        moved = () if test is None else predictions_by_patient(run.inputs, run.runtime, run.plan, test)
        broken = [*own.undeclared, *moved]
        if broken:
            summary = f"{', '.join(broken[:3])} change with the other {self.words['groups']} of the table"
        elif own.declared:
            summary = f"transductive by the recipe's wish: {', '.join(own.declared[:3])}"
        else:
            summary = (
                f"features and predictions of {own.patients} {self.words['groups']} are the same alone and in the table"
            )
        status: Status = "failed" if broken else "look" if own.declared else "passed"
        return Check("own patient", status, summary, {**asdict(own), "predictions": list(moved)})

    def null(self) -> Check:
        """The whole pipeline on dealt labels."""
        data = without_test(self.thinned(NULL_LESIONS))
        recipe = null_recipe(self.recipe, binary=len(data.train.task.classes) == 2)
        with self.runtime.display.task("null test") as progress:
            result = null_test(
                pipeline_experiment(self.inputs, self.runtime, self.scratch_dir / "null", recipe, data),
                data.train.target,
                data.train.groups,
                draws=self.draws,
                seed=derive(self.recipe.seed, "null test"),
                score=data.train.task.score,
                progress=progress,
            )
        far = result.farthest
        summary = (
            f"farthest from chance: {far.name}, {result.score} {far.score:.4f} where chance has {far.chance:.4f} "
            f"({far.chance_low:.4f} to {far.chance_high:.4f}), p {result.p:.3f}"
        )
        return Check(
            "null test", "passed" if result.passed else "failed", summary, {**result.as_dict(), "words": self.words}
        )

    def pictures(self) -> Iterator[Check]:
        """Copies of pictures across folds, and patients under two ids."""
        if self.inputs.data.train_images is None:
            yield Check("copies", "not done", "there are no images")
            return
        train, pack = self.train, self.inputs.train_pack
        with self.runtime.display.task("looking for copies") as progress:
            pairs = alike(pack.images, pack.present, progress=progress)
        crossing = across(pairs, self.fold)
        copies = [pair for pair in crossing if pair.copy]
        named = [
            {**asdict(pair), "one": str(train.ids[pair.one]), "other": str(train.ids[pair.other]), "copy": pair.copy}
            for pair in crossing[:SHOWN]
        ]
        summary = f"{len(copies)} copied and {len(crossing) - len(copies)} similar pairs of pictures across folds"
        status: Status = "failed" if copies else "look" if crossing else "passed"
        yield Check("copies", status, summary, {"pairs": len(pairs), "across_folds": len(crossing), "first": named})
        people = same_patients(train, pairs)
        first = [asdict(person) for person in people[:SHOWN]]
        yield Check(
            "two ids", "failed" if people else "passed",
            f"{len(people)} pairs of {self.words['group']} ids share a picture or a row of measurements",
            {"count": len(people), "first": first},
        )  # fmt: skip

    def folds_given_away(self) -> Check:
        """Columns that know the folds."""
        columns = fold_columns(self.train, self.fold)
        knowing = [column.name for column in columns if column.knows_the_fold]
        first = f"{columns[0].name}, p {columns[0].p:.3g}" if columns else "none"
        summary = (
            f"{', '.join(knowing[:3])} know the fold" if knowing else f"no column knows the fold (nearest: {first})"
        )
        facts = {"columns": [asdict(column) for column in columns[:SHOWN]]}
        return Check("fold columns", "failed" if knowing else "passed", summary, facts)

    def patients_named(self) -> Check:
        """Columns that name the patient."""
        columns = patient_columns(self.train)
        naming = [column for column in columns if column.singled_out > 0.5]
        most, words = columns[0], self.words
        summary = (
            f"{', '.join(column.name for column in naming[:3])}: a value of their own for most {words['groups']}"
            if naming
            else f"no column names the {words['group']} (most: {most.name}, {most.singled_out:.0%} singled out)"
        )
        facts = {"columns": [asdict(column) for column in columns[:SHOWN]]}
        return Check("patient columns", "look" if naming else "passed", summary, facts)

    def drifted(self) -> Check:
        """Training against test table."""
        test = self.inputs.data.test
        if test is None:
            return Check("drift", "not done", "there is no test table")
        found = drift(self.train, test, self.recipe.seed)
        large = [column.name for column in found.columns if column.stability >= LARGE]
        summary = f"tables told apart with AUC {found.auc:.3f}; {len(large)} columns differ much"
        summary += f" ({', '.join(large[:3])})" if large else ""
        shown = [asdict(column) for column in found.columns[:SHOWN]]
        facts = {"auc": found.auc, "columns": shown, "words": self.words}
        return Check("drift", "look" if large else "passed", summary, facts)


def run_audit(inputs: Inputs, runtime: Runtime, *, draws: int = 3, planted: Planted | None = None) -> bool:
    """Audit a run, print its tables, write audit.json into its folder and nothing else; True when nothing failed."""
    run, display = inputs.run, runtime.display
    audit = Audit(inputs, runtime, run.folder / SCRATCH, draws, planted)
    shutil.rmtree(audit.scratch_dir, ignore_errors=True)  # what a killed audit left
    what = f"{len(audit.train.ids):,} {'synthetic ' * run.invented}{audit.words['rows']}"
    plan = f"exact checks, null test ({draws} draws), searches of the data"
    display.say(f"leak audit of {what}: {plan}", style="bold")
    done: list[tuple[Check, float]] = []
    began = time.monotonic()
    try:
        for check in audit.checks():
            show_check(display, check)
            done.append((check, round(time.monotonic() - began, 1)))
            began = time.monotonic()
            display.check_stop()
    finally:
        shutil.rmtree(audit.scratch_dir, ignore_errors=True)
    passed = all(check.status != "failed" for check, _ in done)
    write_json(
        run.folder / "audit.json",
        {
            "passed": passed,
            "synthetic": run.invented,
            "checks": {check.name: {**asdict(check), "seconds": seconds} for check, seconds in done},
            "versions": versions(),
            "commit": commit(),
        },
    )
    show_summary(display, [check for check, _ in done])
    display.say(f"wrote {run.folder / 'audit.json'}")
    return passed
