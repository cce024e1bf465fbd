"""Reports that tests change as somebody would who wants to be believed: with the checksum that fits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from data.files import fingerprint, read_json, sha256_of, write_json
from pipeline.step_reports import CHECKSUM


def forge(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a report and its own checksum."""
    report = read_json(path)
    change(report)
    report.pop(CHECKSUM, None)
    write_json(path, {**report, CHECKSUM: fingerprint(report)})


def vouch(report_path: Path, *names: str) -> None:
    """Make a report promise the files that are there."""

    def promise(report: dict[str, Any]) -> None:
        for name in names:
            path = report_path.parent / name
            report["artefacts"][name] = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}

    forge(report_path, promise)
