"""What differs between two runs in all that was fitted for, or said of, one fold; equal means equal to the bit."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from data.errors import DataError
from data.files import read_json, read_whole
from data.matrix import Matrix
from pipeline.audit.scratch import Finished
from pipeline.plan import Plan
from pipeline.stage_two import encoded, training_features
from pipeline.step import Step
from pipeline.step_reports import CHECKSUM
from pipeline.steps.booster import booster_of
from pipeline.steps.encoder import FILE
from pipeline.steps.fold_model import fold_model_of, predictions_of
from tabular.crossfit import predict_member

ABOUT_THE_RUN = frozenset(
    {"fingerprint", "key", "inputs", "seconds", "images_per_second", "finished", "energy", "peak_memory_mb",
     "peak_memory_bytes", "artefacts", "scores", "resumed_at_step", "study", "checksum", CHECKSUM}
)  # fmt: skip
"""Keys of reports that tell of the run or of the scored labels, not of what was fitted, and checksums over them."""


def models_without(plan: Plan, fold: int) -> list[Step]:
    """Image models that must not know this fold."""
    every = (*plan.images.models, *plan.images.pairs)
    return [step for step in every if fold in fold_model_of(step).left_out]


def fitted_differently(one: Finished, other: Finished, fold: int) -> list[str]:
    """Networks, their training records, encoders, searches and boosters of a fold that differ between two runs."""
    found = []
    for step in models_without(one.plan, fold):
        twin = other.plan["fold model", *step.key]
        found += [f"{fold_model_of(step).title}: {what}" for what in differing_files(step.folder, twin.folder)]
    for step in one.plan.of("tuning"):
        if step.key[1:] == (fold,):
            found += [
                f"{step.name}: {what}" for what in differing_files(step.folder, other.plan["tuning", *step.key].folder)
            ]
    encoders = [run.plan["encoder", fold].folder / FILE for run in (one, other)]
    if encoders[0].read_bytes() != encoders[1].read_bytes():
        left, right = map(read_json, encoders)
        found.append(f"encoder of fold {fold}: {', '.join(name for name in left if left[name] != right.get(name))}")
    images = one.plan.images
    table = training_features(one.inputs, one.runtime, images, images.nested(fold))
    _, train_matrix, held_out_matrix = encoded(one.inputs, table, one.inputs.folds, fold)
    for step in one.plan.stage_two.of_fold(fold):
        both = (step, other.plan["booster", *step.key])
        if not all(same_booster(*both, matrix, one.runtime.threads) for matrix in (train_matrix, held_out_matrix)):
            found.append(f"{step.key[0]}, fold {fold}: the booster")
    return found


def same_booster(one: Step, other: Step, matrix: Matrix, threads: int) -> bool:
    """Whether two boosters say the same of every row of a matrix."""
    everyone = np.arange(len(matrix.values))
    try:
        left, right = (
            predict_member(booster_of(step).member, step.folder, matrix, everyone, threads=threads)
            for step in (one, other)
        )
    except DataError:
        # A booster fitted on other columns cannot even read the matrix.
        return False
    return np.array_equal(left, right)


def said_differently(one: Finished, other: Finished, fold: int) -> list[str]:
    """Out-of-fold columns, networks and boosters whose values for the lesions of a fold differ between two runs."""
    found = []
    own = pl.Series(one.inputs.folds.fold == fold)
    for stage in ("oof", "tabular"):
        paths = [run.inputs.run.folder / stage / "oof.parquet" for run in (one, other)]
        if paths[0].is_file():
            left, right = (pl.read_parquet(read_whole(path)).filter(own) for path in paths)
            found += [f"{name}: values of fold {fold}" for name in left.columns if not left[name].equals(right[name])]
    for step in models_without(one.plan, fold):
        left = predictions_of(step, one.inputs).frame()
        if not left.equals(predictions_of(other.plan["fold model", *step.key], other.inputs).frame()):
            found.append(f"{fold_model_of(step).title}: values of its held-out lesions")
    return found


def differing_files(one: Path, other: Path) -> Iterator[str]:
    """Weights, training records and trials of two folders that differ."""
    from safetensors.numpy import load

    for path in sorted(one.iterdir()):
        twin = other / path.name
        if path.suffix == ".safetensors":
            left, right = load(read_whole(path)), load(read_whole(twin))
            if left.keys() != right.keys() or any(not np.array_equal(left[name], right[name]) for name in left):
                yield f"weights in {path.name}"
        elif path.name == "trials.parquet":
            one_table, other_table = (pl.read_parquet(read_whole(table)).drop("seconds") for table in (path, twin))
            if not one_table.equals(other_table):
                yield f"trials in {path.name}"
        elif path.suffix == ".json":
            differing = sorted(set(different_keys(read_json(path), read_json(twin))))
            if differing:
                yield f"{', '.join(differing)} in {path.name}"


def different_keys(one: Any, other: Any, key: str = "") -> Iterator[str]:
    """Keys whose plain values differ, leaving out what tells of the run itself."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in one.keys() | other.keys():
            if name not in ABOUT_THE_RUN:
                yield from different_keys(one.get(name), other.get(name), name)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for left, right in zip(one, other, strict=True):
            yield from different_keys(left, right, key)
    elif one != other:
        yield key
