"""What is in a folder, in the ways in which tests compare folders."""

from collections.abc import Collection
from pathlib import Path

from data.files import sha256_of

TIMED = frozenset(
    {"report.json", "folds.json", "submission.json", "training.json", ".lock", "study.journal", "trials.parquet"}
)
"""Files that hold times, so that two runs differ in them."""
OF_EVERY_COMMAND = frozenset({".lock", "recipe.toml", "run.json"})
"""Files that every command that works on a run writes."""


def tree(folder: Path) -> dict[str, int]:
    """When everything in a folder was written."""
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("*")) if path.name != ".lock"}


def bytes_of(folder: Path, but: Collection[str] = (".lock",)) -> dict[str, bytes]:
    """Every file's content; names in `but` are left out."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in but]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def results(run: Path) -> dict[str, str]:
    """Checksum of every file of a run that must not depend on how the run went."""
    files = [path for path in sorted(run.rglob("*")) if path.is_file() and path.name not in TIMED]
    return {str(path.relative_to(run)): sha256_of(path) for path in files}


def written(run: Path) -> dict[str, int]:
    """When every file of a run was written, but for those that every command writes."""
    files = [path for path in run.rglob("*") if path.is_file() and path.name not in OF_EVERY_COMMAND]
    return {str(path.relative_to(run)): path.stat().st_mtime_ns for path in files}


def reports_changed(before: dict[str, int], after: dict[str, int]) -> set[str]:
    """Folders whose step ran again; encoders are left out, for they are made with any booster of their fold."""
    names = {name for name in after if name.endswith("report.json") and after[name] != before.get(name)}
    return {str(Path(name).parent) for name in names if not name.startswith("features/")}
