"""The rows of the study as columns of probabilities: of the run itself, of its parts alone, and of every variant.

Every row has a column for the training lesions, out of fold, and one for the hidden test where its answers are known.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from data.tables.parquet import read_parquet
from pipeline.columns import KEYS, stacked
from pipeline.inputs import Inputs
from tabular.blend import blend

Floats = npt.NDArray[np.float64]
FULL = "full"
IMAGE_ONLY = "image_only"
WITHOUT_VOTING = "without_voting"
BLENDED = "blended"
BLENDS = {
    "mean": "the soft vote", "logit_mean": "mean of logits", "rank_mean": "mean of ranks",
    "weighted": "weights by votes", "stacker": "logistic regression on logits",
    "rank_stacker": "logistic regression on ranks", "chosen": "the best of them, chosen inside folds",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    title: str
    out_of_fold: Floats
    """In the order of the training table; NaN without a prediction."""
    test: Floats | None = None
    """In the order of the test table."""


def columns_of(path: Path, ids: npt.NDArray[np.str_]) -> dict[str, Any]:
    """The probability columns of a stage, in the order of `ids`, NaN where there is none."""
    frame, _ = read_parquet(path, "Run `fusionnetx submission` again.")
    aligned = pl.DataFrame({"lesion_id": ids.tolist()}).join(frame, on="lesion_id", how="left", maintain_order="left")
    names = [name for name in frame.columns if name not in KEYS]
    return {name: aligned[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in names}


@dataclass(frozen=True)
class StageColumns:
    """What one stage of a run says: of the training lesions, and of the test lesions where there are some."""

    train: dict[str, Any]
    test: dict[str, Any] | None

    def alone(self, name: str, title: str, column: str) -> Row:
        """The row of one column."""
        return Row(name, title, stacked(self.train, column), stacked(self.test, column) if self.test else None)

    def voted(self, name: str, title: str, columns: list[str]) -> Row:
        """The row of several columns, each counting the same."""
        return Row(name, title, mean_of(self.train, columns), mean_of(self.test, columns) if self.test else None)


def stage_columns(inputs: Inputs, stage: str) -> StageColumns:
    """Read `oof` or `tabular`."""
    data, folder = inputs.data, inputs.run.folder / stage
    train = columns_of(folder / "oof.parquet", data.train.ids)
    if data.test is None or not (folder / "test.parquet").is_file():
        return StageColumns(train, None)
    return StageColumns(train, columns_of(folder / "test.parquet", data.test.ids))


def row_of(inputs: Inputs, name: str, title: str) -> Row:
    """The blend of a run folder."""
    return stage_columns(inputs, "tabular").alone(name, title, "blend")


def rows_of_parts(inputs: Inputs) -> Iterator[Row]:
    """What the parts of the run say alone: the image models, their mean, and every booster."""
    models = [model.name for model in inputs.run.recipe.image_models]
    if models:
        images = stage_columns(inputs, "oof")
        yield images.voted(IMAGE_ONLY, "image only, soft vote", models)
        for name in models if len(models) > 1 else ():
            yield images.alone(f"{IMAGE_ONLY}.{name}", f"image only, {name}", name)
    members = [member.name for member in inputs.run.recipe.tabular.members]
    if len(members) > 1:
        boosters = stage_columns(inputs, "tabular")
        for name in members:
            yield boosters.alone(f"{WITHOUT_VOTING}.{name}", f"without voting: {name}", name)


def rows_of_blends(inputs: Inputs) -> Iterator[Row]:
    """The run's members blended in the other ways; what a way learns for a fold it learns on the other folds."""
    train, recipe = inputs.data.train, inputs.run.recipe.tabular
    if len(train.task.classes) > 2 or len(recipe.members) < 2:
        return
    found = stage_columns(inputs, "tabular")
    every = [
        None if columns is None else {member.name: stacked(columns, member.name) for member in recipe.members}
        for columns in (found.train, found.test)
    ]
    own, test = every
    assert own is not None
    for method, title in BLENDS.items():
        if method == recipe.blend.method:
            continue
        way = recipe.blend.model_copy(update={"method": method})
        blended = blend(own, way, target=train.target, folds=inputs.folds.fold, groups=train.groups)
        new = None if test is None else blended.state.apply(test)
        yield Row(f"{BLENDED}.{method}", f"blended by {title}", blended.out_of_fold, new)


def mean_of(columns: dict[str, Any], names: list[str]) -> Floats:
    """The soft vote: mean over the models that know the lesion."""
    values = np.stack([stacked(columns, name) for name in names])
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=0)
    count = known.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
