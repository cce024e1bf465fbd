"""A step: one piece of work that writes one folder (or a few named files), and what its result depends on.

Its report is written last and is the only mark of "done". It holds the settings and the checksums of what was read, so
the next run can say in one comparison whether the step still holds, and if not, which keys changed. What kinds of step
there are and what each does is in `steps/`; which steps a run has, in `plan.py`.
"""

import json
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from data.errors import DataError
from data.files import fingerprint, sha256_of, sync_folder, write_json
from pipeline.energy import Meter
from pipeline.provenance import commit, machine, versions
from pipeline.step_reports import CHECKSUM, artefact_trouble, describe_changes, read_step_report

if TYPE_CHECKING:
    from pipeline.inputs import Inputs
    from pipeline.runtime import Runtime


Key = tuple[str | int, ...]


@dataclass(frozen=True)
class Resources:
    """What a step takes while it runs."""

    cpus: int = 1
    """Threads it runs: part of what it computes, because sums in another order differ in their last bits."""
    gpus: float = 0.0


class Work:
    """What a step does. One subclass per kind of step; its fields are all that the work needs beside the inputs."""

    verb: ClassVar[str]
    """The command that does it, and everything before it: `oof`, `tabular` or `submission`."""
    stage: ClassVar[str]
    """What the account of seconds calls it, and where the kill harness says it struck."""
    batch: ClassVar[str]
    """Steps of one batch are done under one bar of this name; none depends on another, unless it `follows` it."""
    things: ClassVar[str] = ""
    """`stage one: {things} are done`; empty: nothing is said of these steps before they run."""
    undone: ClassVar[str] = "to do"
    again: ClassVar[str] = ""
    """`..., trained again`, of a step that is done once more."""
    announced: ClassVar[str] = ""
    """The file of the step that is said to be up to date when nothing is to be done."""
    here: ClassVar[bool] = False
    """Done by the process that leads the run, which may spread parts of it."""
    for_prediction: ClassVar[bool] = True
    """Whether new lesions are predicted with what it wrote."""

    @property
    def turn(self) -> tuple[Any, ...]:
        """Order within a batch."""
        return ()

    @property
    def follows(self) -> "Step | None":
        """The step of the same batch that must be done before this one."""
        return None

    def resources(self, inputs: "Inputs", runtime: "Runtime") -> Resources:
        """What it takes."""
        return Resources()

    def reads(self, inputs: "Inputs") -> tuple[str, ...]:
        """What it reads beside the data, the folds and what its step needs: `cache/...`, `weights/...`."""
        return ()

    @classmethod
    def at_once(cls, steps: "Sequence[Step]", inputs: "Inputs", runtime: "Runtime") -> int:
        """How many such steps one machine does side by side."""
        return 1

    def prepare(self, steps: "Sequence[Step]", inputs: "Inputs", runtime: "Runtime") -> None:
        """What the leading process does before a batch of such steps."""

    def do(self, step: "Step", inputs: "Inputs", runtime: "Runtime") -> None:
        """Do it: `step.begin()`, write, `finish`."""
        raise NotImplementedError


@dataclass(frozen=True)
class Need:
    """Something that a step reads: an input of the run by its checksum, or artefacts of another step."""

    label: str
    """How reports name it."""
    checksum: str = ""
    """Of an input of the run."""
    step: "Step | None" = None
    artefacts: tuple[str, ...] | None = None
    """Of the step; None: every one, each named by itself."""

    def checksums(self) -> Iterator[tuple[str, str]]:
        """Label and checksum; DataError when the step that makes it has no report."""
        if self.step is None:
            yield self.label, self.checksum
        elif self.artefacts is None:
            yield from ((f"{self.label}, {name}", self.step.checksum(name)) for name in self.step.artefacts())
        else:
            yield self.label, "".join(map(self.step.checksum, self.artefacts))

    def files(self) -> tuple[Path, ...]:
        """The files, for a worker that must fetch them."""
        if self.step is None:
            return ()
        names = self.step.artefacts() if self.artefacts is None else self.artefacts
        return (self.step.report_path, *(self.step.folder / name for name in names))


@dataclass(frozen=True, eq=False)
class Step:
    """One step of a run."""

    kind: str
    key: Key
    """Tells it from the others of its kind."""
    name: str
    """How messages and reports name it: `image model vit_tiny, fold 3`."""
    folder: Path
    work: Work
    settings: Mapping[str, Any]
    needs: tuple[Need, ...] = ()
    report_name: str = "report.json"
    unfinished: str = ""
    """Name (a pattern) of the saved state of work that was stopped; empty: it starts anew."""
    waits_for: "Step | None" = None
    """The step that must be done before anyone knows what this one's settings are."""

    @property
    def report_path(self) -> Path:
        """Where the mark of "done" is."""
        return self.folder / self.report_name

    @property
    def inputs(self) -> dict[str, str]:
        """Name -> checksum of everything the step reads; DataError when a step before it is not done."""
        if self.waits_for is not None:
            raise DataError(f"{self.name} waits for {self.waits_for.name}")
        return dict(found for need in self.needs for found in need.checksums())

    @property
    def fingerprint(self) -> str:
        """Checksum of settings and inputs."""
        return fingerprint({"settings": self.settings, "inputs": self.inputs})

    def report(self) -> dict[str, Any] | None:
        """The report of the last finished work, or None."""
        return read_step_report(self.report_path)

    def stale_reason(self, *, every_byte: bool = False, inputs_known: bool = True) -> str | None:
        """None when the step is done and whole; otherwise the reason it must run.

        Large artefacts are compared by size alone, unless `every_byte` is asked for. Without `inputs_known` it is not
        asked what the step was made from: a copied run has no data.
        """
        report = self.report()
        if report is None:
            return "a damaged report" if self.report_path.exists() else "not run yet"
        if report.get("step", self.name) != self.name:
            return f"its folder holds what {report['step']} wrote"
        ours: dict[str, Any] = {"settings": self.settings}
        theirs: dict[str, Any] = {"settings": report["settings"]}
        if inputs_known:
            ours, theirs = {**ours, "inputs": self.inputs}, {**theirs, "inputs": report.get("inputs", {})}
        if fingerprint(theirs) != fingerprint(ours) or (inputs_known and report["fingerprint"] != fingerprint(ours)):
            return "changed: " + (describe_changes(theirs, ours) or "its report")
        return next(iter(self.damage(every_byte=every_byte)), None)

    def damage(self, *, every_byte: bool = False) -> Iterator[str]:
        """What is wrong with each file that the report promised."""
        for name, facts in (self.report() or {"artefacts": {}})["artefacts"].items():
            trouble = artefact_trouble(self.folder / name, facts, every_byte=every_byte)
            if trouble:
                yield f"{name} {trouble}"

    def begin(self) -> "Attempt":
        """Forget an earlier report before the work starts, so that a crash cannot leave a stale "done"."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.report_path.exists():
            self.report_path.unlink()
            sync_folder(self.folder)
        return Attempt(self)

    def artefacts(self) -> tuple[str, ...]:
        """Files that the finished step wrote, relative to its folder."""
        report = self.report()
        return tuple(report["artefacts"]) if report else ()

    def files(self) -> list[Path]:
        """The report and everything it names."""
        return [self.report_path, *(self.folder / name for name in self.artefacts())]

    def checksum(self, name: str) -> str:
        """Checksum of an artefact as the report recorded it; the input of later steps."""
        report = self.report()
        if report is None or name not in report["artefacts"]:
            raise DataError(f"{self.name} has no report of {name} at {self.report_path}; run it first")
        return str(report["artefacts"][name]["sha256"])


@dataclass(frozen=True)
class Attempt:
    """A step that is being done."""

    step: Step
    started: float = field(default_factory=time.monotonic)
    energy: Meter = field(default_factory=Meter)

    def finish(self, artefacts: Sequence[str], **facts: Any) -> dict[str, Any]:
        """Write the report, last; `artefacts` are the files the step wrote, relative to its folder."""
        step = self.step
        report = {
            "step": step.name,
            "fingerprint": step.fingerprint,
            "settings": step.settings,
            "inputs": step.inputs,
            "artefacts": {
                name: {"bytes": (step.folder / name).stat().st_size, "sha256": sha256_of(step.folder / name)}
                for name in artefacts
            },
            **facts,
            "seconds": facts.get("seconds", round(time.monotonic() - self.started, 3)),
            "energy": self.energy.used(),
            "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "versions": versions(),
            "commit": commit(),
        }
        # Through JSON first, so that what is read back has the same checksum.
        report[CHECKSUM] = fingerprint(json.loads(json.dumps(report)))
        write_json(step.report_path, report)
        return report
