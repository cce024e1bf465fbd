"""What the figures of a finished run should be, computed again from its predictions and the data's answers.

Checksums tell accidents. Whoever edits a figure and every checksum with it is told by this alone.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from data.errors import DataError
from data.files import read_whole
from data.predictions import assemble
from pipeline.columns import Floats, flat, named, read_columns, stacked
from pipeline.inputs import Inputs
from pipeline.scoring import score_columns, score_one
from pipeline.step import Step
from pipeline.steps.blend import BlendMembers
from pipeline.steps.booster import member_columns
from pipeline.steps.fold_model import FoldModel, fold_model_of, predictions_of
from pipeline.steps.oof_table import JoinImageModels
from pipeline.steps.submission import FILE, TEST_FILE, Submit, answers_of
from tabular.blend import blend

NEARLY = 1e-9
"""Machines add up in other orders."""


def wrong_figures(step: Step, inputs: Inputs) -> str | None:
    """What a finished step says that does not follow from what lies before it; None when all of it does."""
    try:
        return next(_wrong(step, inputs), None)
    except DataError as error:
        return str(error)


def _wrong(step: Step, inputs: Inputs) -> Iterator[str]:
    work, train, report = step.work, inputs.data.train, step.report() or {}
    if isinstance(work, FoldModel):
        said = predictions_of(step, inputs)
        rows = work.held_out(inputs.folds)
        found = score_columns(train, {"": said.probabilities}, seed=0, rows=rows, replicates=0)[""]
        yield from other_estimates(found, report.get("scores"), "scores")
    elif isinstance(work, JoinImageModels):
        columns: dict[str, Floats] = {}
        names = list(dict.fromkeys(fold_model_of(model).model.name for model in work.models))
        for name in names:
            parts = [predictions_of(model, inputs) for model in work.models if model.key[0] == name]
            columns |= named(name, assemble(parts, train.ids, inputs.folds))
        yield from other_columns(step, train.ids, columns)
        whole = {name: stacked(columns, name) for name in names}
        yield from other_estimates(score_columns(train, whole, seed=0, replicates=0), report.get("scores"), "scores")
    elif isinstance(work, BlendMembers):
        columns = member_columns(work.members, inputs)
        blended = blend(columns, work.recipe, target=train.target, folds=inputs.folds.fold, groups=train.groups)
        columns["blend"] = blended.out_of_fold
        yield from other_columns(step, train.ids, flat(columns, train.task.probability_columns))
        yield from other_estimates(score_columns(train, columns, seed=0, replicates=0), report.get("scores"), "scores")
    elif isinstance(work, Submit):
        yield from wrong_submission(step, inputs, report)


def wrong_submission(step: Step, inputs: Inputs, report: Mapping[str, Any]) -> Iterator[str]:
    """submission.csv must hold the blend of the test table; the scores are those of its columns."""
    test, answers = inputs.data.test, answers_of(inputs)
    assert test is not None
    columns = read_columns(step.folder / TEST_FILE, test.ids)
    written = pl.read_csv(read_whole(step.folder / FILE), schema_overrides={test.task.lesion: pl.String})
    wanted = pl.DataFrame({test.task.lesion: test.ids.tolist()})
    answer = wanted.join(written, on=test.task.lesion, how="left", maintain_order="left").drop(test.task.lesion)
    blended = stacked(columns, "blend").reshape(len(test.ids), -1)
    if answer.shape != blended.shape or not alike(answer.to_numpy(), blended):
        yield f"{FILE} does not hold the blend of {TEST_FILE}"
    if answers is None:
        return
    for part, reported in (report.get("scores") or {}).items():
        rows = np.flatnonzero((answers.split == part) | (part == "all"))
        for name in {column.partition(":")[0] for column in columns} & reported.keys():
            column = stacked(columns, name)[rows]
            found = score_one(test.task, answers.target[rows], column, test.groups[rows], seed=0, replicates=0)
            yield from other_estimates(found, reported[name], f"scores.{part}.{name}")


def other_columns(step: Step, ids: Any, wanted: Mapping[str, Floats]) -> Iterator[str]:
    """Columns of a step's table that are not what its models said."""
    there = read_columns(step.folder / "oof.parquet", ids)
    if there.keys() != wanted.keys():
        yield "oof.parquet has other columns than the models"
    for name in there.keys() & wanted.keys():
        if not alike(there[name], wanted[name]):
            yield f"oof.parquet: {name} is not what its models said"


def other_estimates(found: Mapping[str, Any], reported: Any, where: str) -> Iterator[str]:
    """Reported estimates that differ from those computed again; intervals, which are drawn, are not looked at."""
    if not isinstance(reported, Mapping):
        yield f"{where} are missing"
        return
    for name, value in found.items():
        there = reported.get(name)
        if name != "estimate":
            yield from other_estimates(value, there, f"{where}.{name}")
        elif not isinstance(there, int | float) or not (
            math.isclose(value, there, rel_tol=NEARLY, abs_tol=NEARLY) or (math.isnan(value) and math.isnan(there))
        ):
            yield f"{where} is {value:.6g}, not {there}"


def alike(left: Floats, right: Floats) -> bool:
    """Equal but for rounding."""
    return bool(np.allclose(left.astype(float), right, rtol=NEARLY, atol=NEARLY, equal_nan=True))
