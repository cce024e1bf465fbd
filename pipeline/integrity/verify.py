"""Check a whole run: every step of its plan is there, whole to the last byte, and made from what is there.

Nothing but the run folder is needed: what the data were is taken from the records, unless the data are to be read.
Repairing is left to the verbs; this says which command does it.
"""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from data.errors import DataError, examples
from data.files import is_leftover, read_json
from data.images.pack import ImagePack
from data.predictions import KEY_COLUMNS, Predictions
from data.progress import Progress, silent
from data.tables.parquet import read_parquet
from pipeline.facts import InputFacts, finished_fold_count, recorded_facts, reports_of
from pipeline.inputs import Inputs
from pipeline.integrity.again import wrong_figures
from pipeline.plan import VERBS, plan
from pipeline.run import Run
from pipeline.runtime import Runtime
from pipeline.stage_two import PREDICTIONS
from pipeline.step import Step
from pipeline.steps.booster import FitBooster
from pipeline.steps.fold_model import FoldModel

State = Literal["missing", "damaged", "stale", "blocked", "unfinished"]
STAGES = ("oof/", "features/", "tabular/")
"""Folders that hold the steps of a recipe alone; what else is made of a run has its own."""


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
    vouched: Path | None = None
    """The report that vouches for what is wrong: the command does nothing as long as it is there."""


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


def verify_run(run: Run, runtime: Runtime, inputs: Inputs | None = None, progress: Progress = silent) -> Verdict:
    """Check a run; against its data where these are given, else against its own records."""
    reports = reports_of(run.folder)
    if not reports:
        raise DataError(f"run {run.folder} has no finished step to check; `fusionnetx submission` makes one")
    recorded = recorded_facts(run, reports)
    notes = []
    if inputs is None:
        notes.append(
            "the data were not read: that they are still those of this run, and that its scores follow from its "
            "predictions, is only checked with --data; files exchanged with every checksum that names them are not told"
        )
    found = plan(run, recorded if inputs is None else inputs.facts, finished_fold_count(run))
    folds = folds_on_record(found.folds)
    reached = max((step.work.verb for step in found if step.report_path.exists()), key=VERBS.index, default=VERBS[0])
    held: dict[str, Finding | None] = {}
    vouched: dict[Step, str] = {}
    size = 0
    for place, step in enumerate(found, start=1):
        held[step.name] = finding = examine(step)
        if finding is not None and finding.state == "stale":
            vouched |= exchanged(step)
        elif finding is None and (wrong := None if folds is None else other_lesions(step, folds)):
            vouched[step] = wrong
        elif finding is None and inputs is not None and (wrong := wrong_figures(step, inputs)):
            vouched[step] = f"computed again: {wrong}"
        size += sum(facts["bytes"] for facts in (step.report() or {"artefacts": {}})["artefacts"].values())
        progress(place, len(found.steps))
    for step, wrong in vouched.items():
        reason = f"{wrong}, and its report vouches for it"
        held[step.name] = held[step.name] or Finding(step.name, "damaged", reason, reached, step.report_path)
    findings = [finding for finding in held.values() if finding is not None]
    findings += [*metrics_trouble(run, notes), *damaged_packs(recorded, runtime, notes)]
    known = {str(step.report_path.relative_to(run.folder)) for step in found}
    return Verdict(tuple(findings), len(found.steps), size, (*notes, *surplus(run, reports, known)))


def examine(step: Step) -> Finding | None:
    """What is wrong with one step; None when it holds to the last byte."""
    verb, report = step.work.verb, step.report()
    try:
        reason = step.stale_reason(every_byte=True)
    except DataError as error:
        return Finding(step.name, "blocked", str(error), verb)
    if reason is None:
        return None
    if report is None:
        saved = next(iter(step.folder.glob(step.unfinished)), None) if step.unfinished else None
        if saved is not None:
            return Finding(step.name, "unfinished", f"it was stopped; {saved.name} holds how far it came", verb)
        return Finding(step.name, "damaged" if step.report_path.exists() else "missing", reason, verb)
    damage = [*step.damage(every_byte=True)]
    stale = reason not in damage
    return Finding(step.name, "stale" if stale else "damaged", reason if stale else "; ".join(damage), verb)


def metrics_trouble(run: Run, notes: list[str]) -> list[Finding]:
    """metrics.json must be of the submission that is there, with the scores that its steps reported."""
    submission, path = run.folder / "submission.json", run.folder / "metrics.json"
    if not submission.is_file():
        return []
    try:
        said, recorded = read_json(path), read_json(submission)
        stale = said["submission"] != recorded["fingerprint"]
        scored = said["cross_validated"] | {"test": said["test"]}
        reported = reported_scores(run) | {"test": recorded.get("scores")}
    except FileNotFoundError:
        return [Finding("metrics.json", "missing", "not written yet", "submission")]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [Finding("metrics.json", "damaged", f"cannot be read ({error})", "submission")]
    if stale:
        return [Finding("metrics.json", "stale", "it tells of another submission than submission.csv", "submission")]
    if scored != reported:
        return [Finding("metrics.json", "damaged", "its scores are not those that the steps reported", "submission")]
    if "report" in said:
        notes.append("what `fusionnetx report` computed (metrics.json under `report`, report.html) is not checked")
    return []


def reported_scores(run: Run) -> dict[str, Any]:
    """Cross-validated scores as the steps that joined the columns reported them."""
    found = {}
    for name, stage in (("image_models", "oof"), ("members", "tabular")):
        path = run.folder / stage / "report.json"
        found[name] = read_json(path)["scores"] if path.is_file() else {}
    return found


def damaged_packs(recorded: InputFacts, runtime: Runtime, notes: list[str]) -> Iterator[Finding]:
    """Packs of this run's images that the cache holds and that are not whole."""
    for label, fingerprint in (("training", recorded.train_images), ("test", recorded.test_images)):
        if fingerprint is None:
            continue
        if not (runtime.cache_dir / fingerprint).is_dir():
            notes.append(f"the cache holds no pack of the {label} images; it is made again when a step needs it")
            continue
        try:
            ImagePack.open(runtime.cache_dir / fingerprint, verify="full")
        except DataError as error:
            yield Finding(f"pack of the {label} images", "damaged", str(error), "oof")


def surplus(run: Run, reports: Mapping[str, Mapping[str, Any]], known: set[str]) -> list[str]:
    """What lies in the run folder without belonging to its recipe."""
    notes = []
    others = [path for path in reports if path.startswith(STAGES) and path not in known]
    if others:
        notes.append(f"{len(others)} finished steps are of no use to this recipe: {examples(others)}")
    leftovers = [str(path.relative_to(run.folder)) for path in run.folder.rglob(".*.tmp") if is_leftover(path)]
    if leftovers:
        notes.append(f"a killed process left {examples(leftovers)}; the next run removes it")
    return notes


def repairing_command(findings: tuple[Finding, ...], run: Run, data_dir: Path | None = None) -> str:
    """One command that repairs everything: the least far-reaching verb whose work includes it all.

    The run knows its recipe and its data; other data, which the check was told of, replace them. Reports that vouch for
    what is wrong go first.
    """
    verb = max((finding.verb for finding in findings), key=VERBS.index)
    folder = str(run.folder) if "/" in str(run.folder) else f"./{run.folder}"
    words = ["fusionnetx", verb, "--run", folder]
    words = words if data_dir is None else [*words, "--data", str(data_dir), "--replace"]
    reports = [str(finding.vouched) for finding in findings if finding.vouched is not None]
    return (f"{shlex.join(['rm', *reports])} && " if reports else "") + shlex.join(words)


def folds_on_record(step: Step) -> pl.DataFrame | None:
    """The fold of each lesion as the run's own file has it; None where that file is of no use."""
    try:
        table, _ = read_parquet(step.folder / "folds.parquet", "")
        return table.select(KEY_COLUMNS)
    except (DataError, pl.exceptions.PolarsError):
        return None


def other_lesions(step: Step, folds: pl.DataFrame) -> str | None:
    """Why a model's predictions cannot be its own: they are about other lesions than those it had not seen."""
    work = step.work
    left_out = work.left_out if isinstance(work, FoldModel) else (work.fold,) if isinstance(work, FitBooster) else ()
    if not left_out:
        return None
    try:
        said = Predictions.read(step.folder / PREDICTIONS).frame().select(KEY_COLUMNS)
    except DataError as error:
        return str(error)
    own = folds.filter(pl.col("fold").is_in(left_out)).with_columns(pl.col("fold").cast(pl.Int64))
    if said.sort("lesion_id").equals(own.sort("lesion_id")):
        return None
    return f"{PREDICTIONS} is about other lesions than those of fold {' and '.join(map(str, left_out))}"


def exchanged(consumer: Step) -> Mapping[Step, str]:
    """Steps whose files are those that this one, by its report, once read of another step."""
    recorded = (consumer.report() or {}).get("inputs", {})
    try:
        now = {label: (sha, need.step) for need in consumer.needs for label, sha in need.checksums() if need.step}
    except DataError:
        return {}
    changed = {label: found for label, found in now.items() if recorded.get(label) not in (None, found[0])}
    owners = {recorded[label]: label for label in changed}
    return {step: f"it holds what {owners[sha]} wrote" for sha, step in changed.values() if step and sha in owners}
