"""One run folder as a comparison sees it: what its stages reported, and its columns where its lesions can be read.

A look alone: nothing is checked against the recipe that is shipped today, nothing is made or written, so runs of an
earlier version can stand beside new ones.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from data.cohort import DataFolder
from data.errors import DataError, FusionNetXError
from data.files import read_json
from data.recipe import read_folder
from pipeline.commands.options import finished_run
from pipeline.run import artefact_trouble
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class Side:
    """One run."""

    label: str
    space: Workspace
    data: DataFolder | None
    """The lesions that the run was made from; None where they are not at hand."""
    synthetic: bool

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.space.run_dir

    @cached_property
    def stage_two(self) -> dict[str, Any]:
        """The report of the blend."""
        return report_at(self.folder / "tabular" / "report.json")

    @cached_property
    def stage_one(self) -> dict[str, Any]:
        """The report of the out-of-fold table; empty without image models."""
        return report_at(self.folder / "oof" / "report.json") if self.space.recipe.image_models else {}

    @cached_property
    def submission(self) -> dict[str, Any]:
        """The report of the submission; empty where there is none."""
        return report_at(self.folder / "submission.json")

    @property
    def score(self) -> str:
        """The score of its task."""
        scored = self.stage_two["scores"]["blend"]
        return str(next((name for name, figures in scored.items() if "low" in figures), next(iter(scored))))

    @property
    def scores(self) -> dict[str, dict[str, Any]]:
        """Cross-validated scores of every column, the blend first, then members, then image models."""
        members = self.stage_two["scores"]
        rest = {name: figures for name, figures in members.items() if name != "blend"}
        return {"blend": members["blend"], **rest, **self.stage_one.get("scores", {})}

    def seconds(self) -> dict[str, float]:
        """Work of the two stages, summed over jobs."""
        patterns = {
            "stage_one": ("oof/*/fold*/report.json", "oof/*/fold*/test/report.json"),
            "stage_two": ("tabular/*/tuning/report.json", "tabular/*/fold_*/seed_*/report.json", "tabular/report.json"),
        }
        return {
            stage: sum(float(report_at(path).get("seconds", 0.0)) for one in every for path in self.folder.glob(one))
            for stage, every in patterns.items()
        }


def open_side(run: str, data_dir: Path | None) -> Side:
    """Open a run by name or path; one without a whole blend is refused."""
    space = finished_run(run)
    report = report_at(space.run_dir / "tabular" / "report.json")
    if not report:
        raise DataError(
            f"run {space.run_dir} has not finished stage two; run `fusionnetx tabular` with its recipe first"
        )
    trouble = artefact_trouble(space.run_dir / "tabular" / "oof.parquet", report["artefacts"]["oof.parquet"])
    if trouble:
        raise DataError(f"{space.run_dir / 'tabular' / 'oof.parquet'} {trouble}; run `fusionnetx tabular` again")
    data, synthetic = lesions_of(space, data_dir)
    if synthetic is False:
        space.data_dir = data_dir
    return Side(space.run_dir.name, space, data, bool(synthetic))


def lesions_of(space: Workspace, data_dir: Path | None) -> tuple[DataFolder | None, bool | None]:
    """The lesions with the checksum that the run reported, and whether they are its synthetic cohort."""
    wanted = train_checksum(space)
    describes = space.recipe.data.synthetic is not None or space.recipe.data.twin is not None
    was_synthetic = report_at(space.run_dir / "metrics.json").get("synthetic", describes)
    candidates: list[tuple[Path | None, bool]] = [(data_dir, False)] if data_dir is not None else []
    candidates += [(None, True)] if was_synthetic and describes else []
    for folder, synthetic in candidates:
        reader = Workspace(space.recipe, space.run_dir, space.cache_dir, space.weights_dir, space.display, folder)
        try:
            found = read_folder(space.recipe.data, reader.source_dir)
        except FusionNetXError as error:
            space.display.warn(f"run {space.run_dir.name}: its lesions cannot be read: {error}")
            continue
        if found.train.fingerprint == wanted:
            return found, synthetic
    return None, None


def train_checksum(space: Workspace) -> str | None:
    """Checksum of the training table, as a booster of the run recorded it."""
    for path in sorted(space.run_dir.glob("tabular/*/fold_*/seed_*/report.json")):
        inputs = report_at(path).get("inputs", {})
        if "train table" in inputs:
            return str(inputs["train table"])
    return None


def report_at(path: Path) -> dict[str, Any]:
    """A JSON object; empty when there is none to read."""
    try:
        loaded = read_json(path)
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def distinct(sides: list[Side]) -> list[Side]:
    """Runs of one name are told apart by their paths."""
    names = [side.label for side in sides]
    return [
        Side(str(side.folder), side.space, side.data, side.synthetic) if names.count(side.label) > 1 else side
        for side in sides
    ]
