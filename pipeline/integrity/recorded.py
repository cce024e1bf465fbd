"""A run as its own records tell of it: a workspace for looking at steps where the data may be far away.

Never makes or writes anything. What the run recorded of its tables and images stands in for them, unless a data folder
is given; then the tables are read and the images' fingerprints taken.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Cohort, DataFolder, Task
from data.errors import DataError
from data.files import read_json
from data.folds import DEFAULT_COUNT, Folds
from data.images.sources import ImageSource
from pipeline.integrity.records import reports_of
from pipeline.run import Step
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class RecordedImages:
    """Images of which only the fingerprint of their pack is known."""

    fingerprint: str
    ids: npt.NDArray[np.str_]

    def read(self, lesion_id: str) -> bytes:
        """There is nothing to read."""
        raise DataError(f"image {lesion_id} is not at hand: this run is looked at without its data; give --data")


class RecordedWorkspace(Workspace):
    """The workspace of a finished run that answers from the run's records and writes nothing."""

    @cached_property
    def reports(self) -> dict[str, dict[str, Any]]:
        """Every report of the run, by its path in the run folder."""
        return reports_of(self.run_dir)

    def recorded(self, name: str) -> str | None:
        """The checksum that most steps recorded for an input of this name."""
        found = Counter(report["inputs"][name] for report in self.reports.values() if name in report.get("inputs", {}))
        return found.most_common(1)[0][0] if found else None

    @property
    def synthetic(self) -> bool:
        """Whether the run was on synthetic lesions, as its submission recorded; wherever the data are now."""
        told = read_report(self.run_dir / "submission.json").get("settings", {}).get("synthetic")
        return super().synthetic if told is None else bool(told)

    @cached_property
    def data(self) -> DataFolder:
        """The data folder when one is given; otherwise what was recorded of it."""
        if self.data_dir is not None:
            return super().data
        none = np.zeros(0, dtype=np.str_)
        task = Task(lesion="lesion_id", group="group", target="target")
        train, test = self.recorded("train table"), self.recorded("test table")
        images, test_images = self.recorded("train images"), self.recorded("test images")
        empty = pl.DataFrame({"lesion_id": [], "group": [], "target": []})
        return DataFolder(
            train=Cohort(empty, task, labelled=True, fingerprint=train or ""),
            test=None if test is None and test_images is None else Cohort(empty, task, False, fingerprint=test or ""),
            train_images=RecordedImages(images or "", none),
            test_images=None if test_images is None else RecordedImages(test_images, none),
        )

    def pack_fingerprint(self, source: ImageSource, ids: npt.NDArray[np.str_]) -> str:
        """Checksum of the pack of these images, as recorded where they are not at hand."""
        return source.fingerprint if isinstance(source, RecordedImages) else super().pack_fingerprint(source, ids)

    @property
    def folds_step(self) -> Step:
        """The making of the folds; a fold file that is not at hand is the one that was recorded."""
        inputs = {"train table": self.data.train.fingerprint}
        given = read_report(self.run_dir / "folds.json").get("inputs", {}).get("fold file")
        if self.recipe.folds.file is not None:
            inputs["fold file"] = str(given)
        return Step("folds", self.run_dir, self.recipe.folds.model_dump(mode="json"), inputs, report_name="folds.json")

    @cached_property
    def folds(self) -> Folds:
        """As many folds as the run has; who is in which is not looked at."""
        summary = read_report(self.run_dir / "folds.json").get("folds")
        count = len(summary) if summary else self.recipe.folds.count or DEFAULT_COUNT
        table = pl.DataFrame({"lesion_id": [""] * count, "group": [""] * count, "fold": np.arange(count)})
        return Folds(table, np.zeros(count, dtype=np.int64), "file")


def read_report(path: Path) -> dict[str, Any]:
    """A report, or nothing when it cannot be read."""
    try:
        loaded = read_json(path)
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def recorded_run(space: Workspace, data_dir: Path | None) -> RecordedWorkspace:
    """A finished run's workspace that answers from its records; DataError when there are none."""
    recorded = RecordedWorkspace(
        space.recipe, space.run_dir, space.cache_dir, space.weights_dir, space.display, data_dir=data_dir
    )
    if not recorded.reports:
        raise DataError(f"run {space.run_dir} has no finished step to check; `fusionnetx submission` makes one")
    return recorded
