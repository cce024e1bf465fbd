"""The whole pipeline as an experiment of the null test: both stages on dealt labels, every column scored."""

from pathlib import Path

import numpy as np
import polars as pl

from data.cohort import DataFolder
from pipeline.audit.deal import Ints
from pipeline.audit.null_test import Experiment, Floats, Outcome
from pipeline.audit.variants import relabelled_by, scratch
from pipeline.recipe import Recipe
from pipeline.steps.oof import run_oof
from pipeline.steps.tabular import run_tabular
from pipeline.workspace import Workspace


def pipeline_experiment(space: Workspace, recipe: Recipe, data: DataFolder, folder: Path) -> Experiment:
    """An experiment that runs stage one and stage two of `recipe` in `folder`, once per draw."""

    def experiment(giver: Ints, draw: int) -> Outcome:
        run = scratch(space, folder / f"draw_{draw}", recipe, relabelled_by(data, giver))
        return finished_outcome(run)

    return experiment


def finished_outcome(run: Workspace) -> Outcome:
    """Run both stages (what is done is skipped) and collect every out-of-fold column."""
    run_oof(run)
    run_tabular(run)
    columns: dict[str, Floats] = {}
    for stage in ("oof", "tabular"):
        path = run.run_dir / stage / "oof.parquet"
        if path.is_file():
            columns |= by_model(pl.read_parquet(path).drop("lesion_id", "fold"))
    return Outcome(np.arange(len(run.data.train.ids)), run.folds.fold, columns)


def by_model(frame: pl.DataFrame) -> dict[str, Floats]:
    """One entry per model: its column, or (several classes, `model:class`) its columns side by side."""
    names: dict[str, list[str]] = {}
    for name in frame.columns:
        names.setdefault(name.partition(":")[0], []).append(name)
    columns = {}
    for model, parts in names.items():
        values = frame.select(pl.col(parts).cast(pl.Float64).fill_null(np.nan)).to_numpy()
        columns[model] = values[:, 0] if len(parts) == 1 else values
    return columns
