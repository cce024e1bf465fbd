"""Check a whole run: every step that its recipe asks for is there, whole to the last byte, and made from what is there.

The stages' own steps are asked, with nothing but the run folder: what the data were is taken from the records, unless
a data folder is given. Repairing is left to the stages; this says which command does it.
"""

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from data.errors import DataError, FusionNetXError, examples
from data.files import is_leftover, read_json
from data.images.pack import ImagePack
from data.progress import Progress, silent
from pipeline.integrity.recorded import RecordedWorkspace
from pipeline.run import Step, artefact_trouble
from pipeline.steps.features import encoder_step
from pipeline.steps.fold_models import FoldModel
from pipeline.steps.oof import fold_models, has_test_images, join_step, pair_models
from pipeline.steps.submission import submission_step
from pipeline.steps.tabular import blend_step, member_jobs
from pipeline.steps.tuning import tuning_step, wanted_members
from pipeline.workspace import Workspace

State = Literal["missing", "damaged", "stale", "blocked", "unfinished"]
VERBS = ("oof", "tabular", "submission")
"""Each does the work of those before it, too."""
STAGES = ("oof/", "features/", "tabular/")
"""Folders that hold the steps of a recipe alone; what else is made of a run has its own."""
UNFINISHED_STATE = "last.*"
"""Name of the saved state of a training that has not ended."""


@dataclass(frozen=True)
class Finding:
    """One step that does not hold."""

    step: str
    state: State
    """missing: never finished; damaged: a file is not as recorded; stale: made from something else than what is there
    now; blocked: cannot be judged before a step it needs is repaired; unfinished: stopped, and can go on."""
    reason: str
    verb: str
    """The command that repairs it."""


@dataclass(frozen=True)
class Verdict:
    """What became of the check."""

    findings: tuple[Finding, ...]
    steps: int
    """Steps that were looked at."""
    bytes: int
    """Bytes of their artefacts, all read."""
    notes: tuple[str, ...]
    """What could not be checked, and what is there without belonging to the recipe."""

    @property
    def ok(self) -> bool:
        """True when every step holds."""
        return not self.findings


def verify_run(space: RecordedWorkspace, progress: Progress = silent) -> Verdict:
    """Check the run of `space`; without a data folder, against the data that the run recorded."""
    notes = []
    if space.data_dir is None:
        notes.append("the data were not read: that they are still those of this run is only checked with --data")
    findings: list[Finding] = []
    checked: set[str] = set()
    size = 0
    expected = list(expected_steps(space))
    for place, (name, verb, make) in enumerate(expected, start=1):
        try:
            step = make()
        except (FusionNetXError, KeyError) as error:
            findings.append(Finding(name, "blocked", str(error), verb))
        else:
            checked.add(str(step.report_path.relative_to(space.run_dir)))
            finding = examine(step, verb)
            findings += [] if finding is None else [finding]
            report = step.report()
            size += sum(facts["bytes"] for facts in report["artefacts"].values()) if report else 0
        progress(place, len(expected))
    findings += [*metrics_trouble(space), *damaged_packs(space, notes)]
    return Verdict(tuple(findings), len(expected), size, (*notes, *surplus(space, checked, findings)))


def examine(step: Step, verb: str) -> Finding | None:
    """What is wrong with one step; None when it holds to the last byte."""
    reason = step.why(every_byte=True)
    if reason is None:
        return None
    report = step.report()
    if report is None:
        saved = next(iter(step.folder.glob(UNFINISHED_STATE)), None)
        if saved is not None:
            return Finding(step.name, "unfinished", f"it was stopped; {saved.name} holds how far it came", verb)
        return Finding(step.name, "damaged" if step.report_path.exists() else "missing", reason, verb)
    if report["fingerprint"] != step.fingerprint:
        return Finding(step.name, "stale", reason, verb)
    troubles = [
        f"{name} {trouble}"
        for name, facts in report["artefacts"].items()
        if (trouble := artefact_trouble(step.folder / name, facts, every_byte=True))
    ]
    return Finding(step.name, "damaged", "; ".join(troubles), verb)


def expected_steps(space: Workspace) -> Iterator[tuple[str, str, Callable[[], Step]]]:
    """Name, repairing verb and step of everything that the recipe asks for, in the order of work."""
    yield "folds", "oof", lambda: space.folds_step
    nested = space.recipe.tabular.nested
    jobs: list[FoldModel] = [*fold_models(space), *(pair_models(space) if nested else [])]
    for job in jobs:
        yield f"image model {job.title}", "oof", partial(getattr, job, "step")
    if has_test_images(space):
        for job in fold_models(space):
            yield f"image model {job.title}, test lesions", "oof", partial(getattr, job, "test_step")
    if space.recipe.image_models:
        yield "out-of-fold table", "oof", lambda: join_step(space)
    for member in wanted_members(space):
        yield f"tuning of {member.name}", "tabular", partial(tuning_step, space, member)
    try:
        members = member_jobs(space)
    except DataError:
        # Without the tuning's result nobody knows what the members are; the tuning is reported above.
        members = []
    for fold in range(space.folds.count):
        yield f"encoder of fold {fold}", "tabular", partial(encoder_step, space, fold)
    for one in members:
        name = f"member {one.member.name}, fold {one.fold}, seed {one.seed}"
        yield name, "tabular", partial(getattr, one, "step")
    if members:
        yield "blend", "tabular", lambda: blend_step(space, members)
    if space.data.test is not None and members:
        yield "submission", "submission", lambda: submission_step(space)


def metrics_trouble(space: Workspace) -> list[Finding]:
    """metrics.json must be of the submission that is there."""
    submission, path = space.run_dir / "submission.json", space.run_dir / "metrics.json"
    if not submission.is_file():
        return []
    try:
        told, recorded = read_json(path)["submission"], read_json(submission)["fingerprint"]
    except FileNotFoundError:
        return [Finding("metrics.json", "missing", "not written yet", "submission")]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [Finding("metrics.json", "damaged", f"cannot be read ({error})", "submission")]
    if told == recorded:
        return []
    return [Finding("metrics.json", "stale", "it tells of another submission than submission.csv", "submission")]


def damaged_packs(space: RecordedWorkspace, notes: list[str]) -> Iterator[Finding]:
    """Packs of this run's images that the cache holds and that are not whole."""
    for label, fingerprint in (("training", space.recorded("train images")), ("test", space.recorded("test images"))):
        if fingerprint is None:
            continue
        if not (space.cache_dir / fingerprint).is_dir():
            notes.append(f"the cache holds no pack of the {label} images; it is made again when a step needs it")
            continue
        try:
            ImagePack.open(space.cache_dir / fingerprint, verify="full")
        except DataError as error:
            yield Finding(f"pack of the {label} images", "damaged", str(error), "oof")


def surplus(space: RecordedWorkspace, checked: set[str], findings: list[Finding]) -> list[str]:
    """What lies in the run folder without belonging to its recipe."""
    notes = []
    blocked = {finding.step for finding in findings if finding.state == "blocked"}
    others = [
        path
        for path, report in space.reports.items()
        if path.startswith(STAGES) and path not in checked and report["step"] not in blocked
    ]
    if others:
        notes.append(f"{len(others)} finished steps are of no use to this recipe: {examples(others)}")
    leftovers = [str(path.relative_to(space.run_dir)) for path in space.run_dir.rglob(".*.tmp") if is_leftover(path)]
    if leftovers:
        notes.append(f"a killed process left {examples(leftovers)}; the next run removes it")
    return notes


def repairing_command(findings: tuple[Finding, ...], run_dir: Path, data_dir: Path | None) -> str:
    """One command that repairs everything: the least far-reaching verb whose work includes it all."""
    verb = max((finding.verb for finding in findings), key=VERBS.index)
    run = str(run_dir) if "/" in str(run_dir) else f"./{run_dir}"
    words = ["fusionnetx", verb, "--recipe", f"{run}/recipe.toml", "--run", run]
    return shlex.join(words if data_dir is None else [*words, "--data", str(data_dir)])
