"""The run folder and its steps: what is done, what is stale and why, and who is at work in it.

A step is one piece of work that writes one folder (or a few named files). Its report is written last and is
the only mark of "done"; it holds the settings and the checksums of the inputs, so the next run can say in one
comparison whether the step still holds, and if not, which keys changed. Knows nothing of what the steps compute.
"""

import fcntl
import os
import platform
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from data.errors import DataError
from data.files import fingerprint, read_json, remove_leftovers, sha256_of, sync_folder, write_json
from data.images.pack import usable_cores

RECORDED_PACKAGES = (
    "fusionnetx", "torch", "timm", "lightgbm", "xgboost", "catboost", "optuna", "polars", "scikit-learn",
    "imbalanced-learn", "numpy",
)  # fmt: skip
CHECKSUM_ON_SKIP_BYTES = 32 * 1024 * 1024
"""Artefacts up to this size are checksummed before a step is skipped; larger ones are compared by size."""


@dataclass
class Step:
    """One piece of work: where it writes, what it depends on, and whether it is done."""

    name: str
    """How messages name it: `image model vit_tiny, fold 3`."""
    folder: Path
    settings: Mapping[str, Any]
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Name -> checksum of everything the step reads."""
    report_name: str = "report.json"
    _started: float = field(default_factory=time.monotonic, repr=False)

    @property
    def report_path(self) -> Path:
        """Where the mark of "done" is."""
        return self.folder / self.report_name

    @property
    def fingerprint(self) -> str:
        """Checksum of settings and inputs."""
        return fingerprint({"settings": self.settings, "inputs": self.inputs})

    def report(self) -> dict[str, Any] | None:
        """The report of the last finished work, or None."""
        if not self.report_path.is_file():
            return None
        try:
            loaded = read_json(self.report_path)
        except (OSError, ValueError, RecursionError):
            return None
        whole = isinstance(loaded, dict) and {"fingerprint", "settings", "artefacts"} <= loaded.keys()
        return loaded if whole and _are_facts(loaded["artefacts"]) else None

    def why(self, *, every_byte: bool = False) -> str | None:
        """None when the step is done and whole; otherwise the reason it must run.

        Large artefacts are compared by size alone, unless `every_byte` is asked for.
        """
        report = self.report()
        if report is None:
            return "a damaged report" if self.report_path.exists() else "not run yet"
        if report["fingerprint"] != self.fingerprint:
            return "changed: " + describe_changes(
                {"settings": report.get("settings", {}), "inputs": report.get("inputs", {})},
                {"settings": self.settings, "inputs": self.inputs},
            )
        for name, facts in report["artefacts"].items():
            trouble = artefact_trouble(self.folder / name, facts, every_byte=every_byte)
            if trouble:
                return f"{name} {trouble}"
        return None

    def begin(self) -> None:
        """Forget an earlier report before the work starts, so that a crash cannot leave a stale "done"."""
        self._started = time.monotonic()
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.report_path.exists():
            self.report_path.unlink()
            sync_folder(self.folder)

    def finish(self, artefacts: Sequence[str], **facts: Any) -> dict[str, Any]:
        """Write the report, last; `artefacts` are the files the step wrote, relative to its folder."""
        report = {
            "step": self.name,
            "fingerprint": self.fingerprint,
            "settings": self.settings,
            "inputs": self.inputs,
            "artefacts": {
                name: {"bytes": (self.folder / name).stat().st_size, "sha256": sha256_of(self.folder / name)}
                for name in artefacts
            },
            **facts,
            "seconds": facts.get("seconds", round(time.monotonic() - self._started, 3)),
            "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "versions": versions(),
            "commit": commit(),
        }
        write_json(self.report_path, report)
        return report

    def artefacts(self) -> tuple[str, ...]:
        """Files that the finished step wrote, relative to its folder."""
        report = self.report()
        return tuple(report["artefacts"]) if report else ()

    def checksum(self, name: str) -> str:
        """Checksum of an artefact as the report recorded it; the input of later steps."""
        report = self.report()
        if report is None:
            raise DataError(f"{self.name} has no report at {self.report_path}; run it first")
        return str(report["artefacts"][name]["sha256"])


def _are_facts(artefacts: Any) -> bool:
    """Whether this is what `finish` notes of each file."""
    return isinstance(artefacts, dict) and all(
        isinstance(facts, dict) and isinstance(facts.get("bytes"), int) and isinstance(facts.get("sha256"), str)
        for facts in artefacts.values()
    )


def artefact_trouble(path: Path, facts: Mapping[str, Any], *, every_byte: bool = False) -> str | None:
    """What is wrong with a file that a report promised."""
    if not path.is_file():
        return "is missing"
    if path.stat().st_size != facts["bytes"]:
        return f"is damaged ({path.stat().st_size} bytes instead of {facts['bytes']})"
    if (every_byte or facts["bytes"] <= CHECKSUM_ON_SKIP_BYTES) and sha256_of(path) != facts["sha256"]:
        return "is damaged (its checksum differs)"
    return None


def describe_changes(old: Any, new: Any, most: int = 6) -> str:
    """The keys that differ between two nested values, with both values."""
    lines = list(changed_keys(old, new, ""))
    shown = "; ".join(lines[:most])
    return shown + (f"; and {len(lines) - most} more" if len(lines) > most else "")


def changed_keys(old: Any, new: Any, path: str) -> Iterator[str]:
    """`path old -> new` for every leaf that differs."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            here = f"{path}.{key}" if path else str(key)
            if key not in old:
                yield f"{here} is new"
            elif key not in new:
                yield f"{here} is gone"
            else:
                yield from changed_keys(old[key], new[key], here)
    elif fingerprint(old) != fingerprint(new):
        checksums = path.startswith("inputs.")
        label = path.removeprefix("settings.").removeprefix("inputs.")
        yield f"{label} (its content)" if checksums else f"{label} {old!r} -> {new!r}"


@cache
def versions() -> dict[str, str]:
    """Installed versions of what can change a result."""
    found = {}
    for package in RECORDED_PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """What of the machine can change a result: above all how many threads add up its sums."""
    torch = sys.modules.get("torch")
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": platform.machine(),
        "cpus": os.cpu_count(),
        "cores": usable_cores(),
        "torch_threads": None if torch is None else torch.get_num_threads(),
    }


@cache
def commit() -> str | None:
    """The git commit of the code, recorded but never part of a fingerprint."""
    try:
        answer = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
            capture_output=True, text=True, timeout=5, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold a run folder for this process; a second process is told who holds it. Freed by the system on any death.

    What a killed process left half-written in it is removed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / ".lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"run folder {folder} cannot be written: {error.strerror}; choose another with --run"
        ) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            handle.seek(0)
            holder = handle.read().strip() or "another process"
            raise DataError(
                f"run folder {folder} is in use by {holder}; wait for it, stop it, or choose another --run"
            ) from error
        except OSError as error:
            raise DataError(
                f"run folder {folder} is on a file system without locks ({error.strerror}), so two runs could spoil "
                "each other's files; choose a folder on another one with --run"
            ) from error
        remove_leftovers(folder, deep=True)
        handle.truncate(0)
        handle.write(f"process {os.getpid()} on {socket.gethostname()}: {' '.join(sys.argv[:3])}\n")
        handle.flush()
        yield
