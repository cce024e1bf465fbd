"""The audit of a recipe and its data, check by check: what was found, whether it is a failure, and in which figures.

Three kinds of answer: `passed`, `failed` (a leak: the command ends with 1), and `look` (something a person should see
and judge, such as a column that differs between the tables).
"""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from data.cohort import DataFolder
from data.errors import DataError
from data.files import write_json
from data.progress import Progress
from pipeline.audit.check import Check, Status
from pipeline.audit.drift import LARGE, drift
from pipeline.audit.duplicates import across, alike, same_patients
from pipeline.audit.experiment import pipeline_experiment
from pipeline.audit.giveaways import fold_columns, patient_columns
from pipeline.audit.independence import SCORED_FOLD, Trio, independence
from pipeline.audit.null_test import null_test
from pipeline.audit.own_patient import OwnPatient, features_by_patient, predictions_by_patient
from pipeline.audit.show import announce, show_check, show_summary
from pipeline.audit.variants import null_recipe, strict_recipe, thinned, without_test
from pipeline.run import commit, versions
from pipeline.seeds import derive
from pipeline.workspace import Workspace

NULL_LESIONS, EXACT_LESIONS = 4000, 800
"""Lesions of the null test and of the exact checks."""
SCRATCH = ".audit"
"""Folder of the scratch runs in the run folder; gone when the audit ends."""
SHOWN = 20
"""Findings, columns and pairs of one kind that are kept in audit.json."""

Planted = Callable[["Audit", OwnPatient], Check]
"""Plants leaks in the pipeline of an audit and says which were found."""


class Audit:
    """The checks of one recipe on one data folder; scratch runs live in `scratch_dir`."""

    def __init__(self, space: Workspace, scratch_dir: Path, *, draws: int, planted: Planted | None = None) -> None:
        if draws < 1:
            raise DataError(f"--draws {draws}: the null test needs one at least")
        self.space, self.scratch_dir, self.draws, self.planted = space, scratch_dir, draws, planted
        self.binary = len(space.data.train.task.classes) == 2

    def checks(self) -> Iterator[Check]:
        """Run every check; each is yielded as soon as it is done."""
        own = self.features()
        exact = strict_recipe(self.space.recipe, without=own.families)
        trio = Trio(self.space, exact, self.thinned(EXACT_LESIONS), self.scratch_dir / "exact")
        with self.space.display.task("exact checks") as progress:
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
        return thinned(self.space.data, lesions, derive(self.space.recipe.seed, "audit", lesions))

    def features(self) -> OwnPatient:
        """Features of few and many patients."""
        data = self.thinned(EXACT_LESIONS)
        return features_by_patient(self.space, data.train if data.test is None else data.test)

    def exact(self, trio: Trio, progress: Progress) -> Check:
        """Turn answers, measurements and pixels of one fold."""
        findings = independence(trio, progress)
        rows = len(trio.scored_rows)
        summary = (
            f"nothing made for fold {SCORED_FOLD} changed when its {rows} lesions did"
            if not findings
            else f"{len(findings)} things know of the fold they predict (first: {findings[0]})"
        )
        facts = {"findings": findings[:SHOWN], "count": len(findings), "left_open_by_recipe": self.left_open()}
        return Check("independence", "failed" if findings else "passed", summary, facts)

    def left_open(self) -> list[str]:
        """Paths of labels that the recipe keeps open on purpose, with the key that closes each."""
        tabular, found = self.space.recipe.tabular, []
        if self.space.recipe.image_models and not tabular.nested:
            found.append(
                "image columns that stage two trains on know the scored fold (tabular.nested = true closes it)"
            )
        if tabular.tune.trials:
            found.append("a search is scored on the run's folds (its re-estimate on other folds is the honest figure)")
        if tabular.blend.method in ("stacker", "weighted"):
            found.append("a learned blend weighs members that know the scored fold (tabular.blend.method = 'mean')")
        return found

    def own_patient(self, own: OwnPatient, trio: Trio) -> Check:
        """One patient at a time against the whole table."""
        run = trio.as_it_is
        moved = () if run.data.test is None else predictions_by_patient(run, run.data.test)
        broken = [*own.undeclared, *moved]
        if broken:
            summary = f"{', '.join(broken[:3])} change with the other patients of the table"
        elif own.declared:
            summary = f"transductive by the recipe's wish: {', '.join(own.declared[:3])}"
        else:
            summary = f"features and predictions of {own.patients} patients are the same alone and in the table"
        status: Status = "failed" if broken else "look" if own.declared else "passed"
        return Check("own patient", status, summary, {**asdict(own), "predictions": list(moved)})

    def null(self) -> Check:
        """The whole pipeline on dealt labels."""
        data = without_test(self.thinned(NULL_LESIONS))
        recipe = null_recipe(self.space.recipe, binary=self.binary)
        with self.space.display.task("null test") as progress:
            result = null_test(
                pipeline_experiment(self.space, recipe, data, self.scratch_dir / "null"),
                data.train.target,
                data.train.groups,
                draws=self.draws,
                seed=derive(self.space.recipe.seed, "null test"),
                score=data.train.task.score,
                progress=progress,
            )
        far = result.farthest
        summary = (
            f"farthest from chance: {far.name}, {result.score} {far.score:.4f} where chance has {far.chance:.4f} "
            f"({far.chance_low:.4f} to {far.chance_high:.4f}), p {result.p:.3f}"
        )
        return Check("null test", "passed" if result.passed else "failed", summary, result.as_dict())

    def pictures(self) -> Iterator[Check]:
        """Copies of pictures across folds, and patients under two ids."""
        if self.space.data.train_images is None:
            yield Check("copies", "not done", "there are no images")
            return
        train, pack, fold = self.space.data.train, self.space.train_pack, self.space.folds.fold
        with self.space.display.task("looking for copies") as progress:
            pairs = alike(pack.images, pack.present, progress=progress)
        crossing = across(pairs, fold)
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
            f"{len(people)} pairs of patient ids share a picture or a row of measurements",
            {"count": len(people), "first": first},
        )  # fmt: skip

    def folds_given_away(self) -> Check:
        """Columns that know the folds."""
        columns = fold_columns(self.space.data.train, self.space.folds.fold)
        knowing = [column.name for column in columns if column.knows_the_fold]
        first = f"{columns[0].name}, p {columns[0].p:.3g}" if columns else "none"
        summary = (
            f"{', '.join(knowing[:3])} know the fold" if knowing else f"no column knows the fold (nearest: {first})"
        )
        facts = {"columns": [asdict(column) for column in columns[:SHOWN]]}
        return Check("fold columns", "failed" if knowing else "passed", summary, facts)

    def patients_named(self) -> Check:
        """Columns that name the patient."""
        columns = patient_columns(self.space.data.train)
        naming = [column for column in columns if column.singled_out > 0.5]
        summary = (
            f"{', '.join(column.name for column in naming[:3])}: a value of their own for most patients"
            if naming
            else f"no column names the patient (most: {columns[0].name}, {columns[0].singled_out:.0%} singled out)"
        )
        facts = {"columns": [asdict(column) for column in columns[:SHOWN]]}
        return Check("patient columns", "look" if naming else "passed", summary, facts)

    def drifted(self) -> Check:
        """Training against test table."""
        data = self.space.data
        if data.test is None:
            return Check("drift", "not done", "there is no test table")
        found = drift(data.train, data.test, self.space.recipe.seed)
        large = [column.name for column in found.columns if column.stability >= LARGE]
        summary = f"tables told apart with AUC {found.auc:.3f}; {len(large)} columns differ much"
        summary += f" ({', '.join(large[:3])})" if large else ""
        facts = {"auc": found.auc, "columns": [asdict(column) for column in found.columns[:SHOWN]]}
        return Check("drift", "look" if large else "passed", summary, facts)


def run_audit(space: Workspace, *, draws: int = 3, planted: Planted | None = None) -> bool:
    """Run the audit, print its tables, write audit.json into the run folder; True when nothing failed."""
    scratch_dir = space.run_dir / SCRATCH
    shutil.rmtree(scratch_dir, ignore_errors=True)  # what a killed audit left
    announce(space, draws)
    done: list[tuple[Check, float]] = []
    began = time.monotonic()
    try:
        for check in Audit(space, scratch_dir, draws=draws, planted=planted).checks():
            show_check(space.display, check)
            done.append((check, round(time.monotonic() - began, 1)))
            began = time.monotonic()
            space.display.check_stop()
    finally:
        shutil.rmtree(scratch_dir, ignore_errors=True)
    passed = all(check.status != "failed" for check, _ in done)
    write_json(
        space.run_dir / "audit.json",
        {
            "passed": passed,
            "synthetic": space.synthetic,
            "checks": {check.name: {**asdict(check), "seconds": seconds} for check, seconds in done},
            "versions": versions(),
            "commit": commit(),
        },
    )
    show_summary(space.display, [check for check, _ in done])
    space.display.say(f"wrote {space.run_dir / 'audit.json'}")
    return passed
