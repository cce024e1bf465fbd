"""What a plan must know of a run's inputs: checksums, from the data or, where these are far away, from the records."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.folds import DEFAULT_COUNT
from pipeline.recipe import Recipe
from pipeline.run import Run
from pipeline.step_reports import read_step_report

REPORTS = ("report.json", "folds.json", "submission.json")
"""Names that a step's report may have; an image pack's has the first."""

STUDIES = ("ablation/", "evidence/", "repeats/")
"""Folders of a run that hold variants of it."""


@dataclass(frozen=True)
class InputFacts:
    """Checksums of what a run is made from; None where there is no such thing."""

    train_table: str
    train_images: str | None
    """Of their pack; None for tables alone, and where no model sees images."""
    test_table: str | None
    test_images: str | None
    fold_file: str | None = None
    """Of the file that the folds were taken from."""

    def tests_images(self, recipe: Recipe) -> bool:
        """Whether there are test lesions that every image model can be shown."""
        return self.test_table is not None and (self.test_images is not None or not recipe.sees_images)


def finished_fold_count(run: Run) -> int:
    """How many folds the run has, or will have when none are made yet.

    A bundle of a run holds nothing of the folds themselves: there they are counted by their encoders.
    """
    summary = (read_step_report(run.folder / "folds.json") or {}).get("folds")
    if isinstance(summary, list) and summary:
        return len(summary)
    encoders = len(list(run.folder.glob("features/fold_*/encoder.json")))
    return encoders or run.recipe.folds.count or DEFAULT_COUNT


def reports_of(folder: Path) -> dict[str, dict[str, Any]]:
    """Every readable report of a run, by its path in the run folder, in the order of paths."""
    found = {path: read_step_report(path) for name in REPORTS for path in folder.rglob(name)}
    return {str(path.relative_to(folder)): found[path] or {} for path in sorted(found) if found[path]}


def recorded_facts(run: Run, reports: Mapping[str, Mapping[str, Any]] | None = None) -> InputFacts:
    """What most steps of a finished run recorded of its inputs."""
    every = reports_of(run.folder) if reports is None else reports
    # Studies keep variants of the run in it, some of them on other labels.
    every = {path: report for path, report in every.items() if not path.startswith(STUDIES)}

    def most(name: str) -> str | None:
        found = Counter(report["inputs"][name] for report in every.values() if name in report.get("inputs", {}))
        return str(found.most_common(1)[0][0]) if found else None

    test_images = most("test images")
    test_table = most("test table") or ("" if test_images is not None else None)
    return InputFacts(most("train table") or "", most("train images"), test_table, test_images, most("fold file"))
