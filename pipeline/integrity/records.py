"""What a run left behind, without what only tells the time: the basis for comparing two runs.

Two runs of one recipe on one machine must agree in everything found here, however often either was stopped.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.files import fingerprint, read_json, sha256_of
from pipeline.facts import REPORTS

TIMELESS_KEYS = ("step", "format", "fingerprint", "settings", "inputs", "artefacts", "checksums", "missing", "scores")
"""Keys of a report that do not say when, how fast or by which version it was made."""
TELLS_TIME = frozenset({"training.json", "study.journal", "trials.parquet", "report.html"})
"""Files that hold seconds or dates among their results."""
NOT_RESULTS = frozenset({".lock", "tensorboard", "cpu_precision", "cpu_threads", "run.json"})
"""Names, of files or folders, that no result depends on."""


def content(folder: Path) -> dict[str, str]:
    """Checksum of every file whose content must not depend on how the work went; leftovers are files like others."""
    result = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and path.name not in TELLS_TIME and not NOT_RESULTS & set(name.parts):
            result[str(name)] = timeless(path) if path.name in REPORTS else sha256_of(path)
    return result


def timeless(report_path: Path) -> str:
    """Checksum of a report without its times; of its bytes when it is no report."""
    try:
        report = read_json(report_path)
        kept = {key: report[key] for key in TIMELESS_KEYS if key in report}
        kept["artefacts"] = lasting(report.get("artefacts", {}))
    except (OSError, ValueError, AttributeError, TypeError):
        return sha256_of(report_path)
    return fingerprint(kept)


def lasting(artefacts: Mapping[str, Any]) -> dict[str, Any]:
    """The artefacts of a report that hold no times."""
    return {name: facts for name, facts in artefacts.items() if Path(name).name not in TELLS_TIME}


def differences(left: Mapping[str, str], right: Mapping[str, str]) -> list[str]:
    """Names that are in one alone or differ, each with what is wrong with the second."""
    return [
        f"{name} {'is missing' if name not in right else 'is left over' if name not in left else 'differs'}"
        for name in sorted({*left, *right})
        if left.get(name) != right.get(name)
    ]
