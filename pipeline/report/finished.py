"""A finished run as arrays: what every image model, member and the blend said of lesions they did not see.

Reads the run folder; computes nothing. Whether the run really is finished and up to date is checked first, so that a
report never mixes two recipes.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from data.cohort import Task
from data.errors import DataError
from data.files import read_json
from data.tables.parquet import read_parquet
from features.encode import Encoder
from pipeline.steps.features import encoder_path
from pipeline.steps.fold_models import FoldModel, stacked
from pipeline.steps.oof import fold_models
from pipeline.steps.tabular import MemberFold, member_jobs
from pipeline.workspace import Workspace
from tabular.blend import BlendState

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
SUBJECT = "blend"
"""The column that the report is about."""


@dataclass(frozen=True)
class FinishedRun:
    """The out-of-fold columns of a run, aligned to the training table."""

    space: Workspace
    image_columns: dict[str, Floats]
    """One per image model; with several classes, lesions x classes."""
    member_columns: dict[str, Floats]
    """One per booster of the recipe, without the blend."""
    blend: Floats

    @property
    def task(self) -> Task:
        """What was predicted."""
        return self.space.data.train.task

    @property
    def binary(self) -> bool:
        """Curves, groups and attributions are about one probability, that of the positive class."""
        return len(self.task.classes) == 2

    @cached_property
    def table(self) -> pl.DataFrame:
        """The training table as published."""
        return self.space.data.train.table

    @cached_property
    def ids(self) -> npt.NDArray[np.str_]:
        """Lesion ids."""
        return self.space.data.train.ids

    @cached_property
    def target(self) -> Ints:
        """Class of every lesion."""
        return self.space.data.train.target

    @cached_property
    def groups(self) -> npt.NDArray[np.str_]:
        """Patient of every lesion."""
        return self.space.data.train.groups

    @cached_property
    def fold(self) -> Ints:
        """Fold that held out each lesion."""
        return self.space.folds.fold.astype(np.int64)

    @cached_property
    def known_rows(self) -> Ints:
        """Lesions that the blend has a probability for."""
        by_class = np.isfinite(self.blend).reshape(len(self.blend), -1)
        return np.flatnonzero(by_class.all(axis=1)).astype(np.int64)

    def called(self, rows: Ints) -> Ints | None:
        """The most probable class of some lesions; None with two classes, where everything is about one of them."""
        return None if self.binary else np.asarray(self.blend[rows].argmax(axis=1), dtype=np.int64)

    @property
    def seed(self) -> int:
        """Seed of everything random in the report."""
        return self.space.recipe.seed

    @cached_property
    def image_jobs(self) -> list[FoldModel]:
        """The fold models of stage one."""
        return image_jobs_of(self.space)

    @cached_property
    def member_jobs(self) -> list[MemberFold]:
        """The boosters of stage two."""
        return member_jobs(self.space)

    @cached_property
    def blend_state(self) -> BlendState:
        """The blend as new lesions get it."""
        return BlendState.from_json(read_json(self.space.run_dir / "tabular" / "blend.json"))

    def encoder(self, fold: int) -> Encoder:
        """The encoder fitted on a fold's training part."""
        return Encoder.from_json(read_json(encoder_path(self.space.run_dir, fold)))

    def report_of(self, *path: str) -> dict[str, Any]:
        """One of the run folder's reports; empty when the stage has not run."""
        file = self.space.run_dir.joinpath(*path)
        loaded: dict[str, Any] = read_json(file) if file.is_file() else {}
        return loaded


def open_finished(space: Workspace) -> FinishedRun:
    """Open a run, refusing one with work missing or stale."""
    oof_path = space.run_dir / "tabular" / "oof.parquet"
    if not oof_path.is_file():
        raise DataError(f"run {space.run_dir} has not finished stage two; run `fusionnetx submission` first")
    steps = [*(job.step for job in image_jobs_of(space)), *(job.step for job in member_jobs(space))]
    stale = [(step.name, reason) for step in steps if (reason := step.why())]
    if stale:
        name, reason = stale[0]
        raise DataError(
            f"run {space.run_dir} is not finished with this recipe and these data: {len(stale)} of "
            f"{len(steps)} models are missing or stale (first: {name}: {reason}); "
            "run `fusionnetx submission` with the same options first"
        )
    columns = [m.name for m in space.recipe.tabular.members]
    stage_two = aligned(space, "tabular")
    return FinishedRun(
        space=space,
        image_columns=(
            {m.name: stacked(aligned(space, "oof"), m.name) for m in space.recipe.image_models}
            if space.recipe.image_models
            else {}
        ),
        member_columns={name: stacked(stage_two, name) for name in columns},
        blend=stacked(stage_two, SUBJECT),
    )


def image_jobs_of(space: Workspace) -> list[FoldModel]:
    """The fold models of a recipe; none without image models."""
    return fold_models(space) if space.recipe.image_models else []


def aligned(space: Workspace, stage: str) -> dict[str, Floats]:
    """The columns of a stage's oof.parquet in the order of the training table, NaN where there is no prediction."""
    path = space.run_dir / stage / "oof.parquet"
    frame, _ = read_parquet(path, "Run `fusionnetx submission` again.")
    if frame["lesion_id"].to_list() != space.data.train.ids.tolist():
        raise DataError(f"{path} is about other lesions than the training table; run `fusionnetx submission` again")
    names = [name for name in frame.columns if name not in ("lesion_id", "fold")]
    return {name: frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in names}
