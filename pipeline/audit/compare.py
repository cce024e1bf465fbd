"""What differs between two runs in all that was fitted for, or said of, one fold; equal means equal to the bit."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from data.errors import DataError
from data.files import read_json
from data.matrix import Matrix
from pipeline.steps.features import encoded, encoder_path, training_features
from pipeline.steps.fold_models import FoldModel
from pipeline.steps.oof import fold_models, pair_models
from pipeline.steps.tabular import MemberFold, member_jobs
from pipeline.workspace import Workspace
from tabular.crossfit import predict_member

ABOUT_THE_RUN = frozenset(
    {"fingerprint", "key", "inputs", "seconds", "images_per_second", "finished", "peak_memory_mb", "peak_memory_bytes",
     "artefacts", "scores", "resumed_at_step"}
)  # fmt: skip
"""Keys of reports that tell of the run or of the scored labels, not of what was fitted."""


def models_without(space: Workspace, fold: int) -> list[FoldModel]:
    """Image models that must not know this fold."""
    if not space.recipe.image_models:
        return []
    pairs = pair_models(space) if space.recipe.tabular.nested else []
    return [job for job in (*fold_models(space), *pairs) if fold in job.left_out]


def members_of(space: Workspace, fold: int) -> list[MemberFold]:
    """Boosters that score this fold."""
    return [job for job in member_jobs(space) if job.fold == fold]


def fitted_differently(one: Workspace, other: Workspace, fold: int) -> list[str]:
    """Networks, their training records, encoders and boosters of a fold that differ between two runs."""
    found = []
    for job in models_without(one, fold):
        twin = FoldModel(other, job.model, job.left_out)
        found += [f"{job.title}: {what}" for what in differing_files(job.folder, twin.folder)]
    if encoder_path(one.run_dir, fold).read_bytes() != encoder_path(other.run_dir, fold).read_bytes():
        found.append(f"encoder of fold {fold}: {differing_part(one, other, fold)}")
    _, train_matrix, held_out_matrix = encoded(one, training_features(one, fold), one.folds, fold)
    for member in members_of(one, fold):
        also = MemberFold(other, member.member, fold, member.seed)
        if not all(same_booster(member, also, matrix) for matrix in (train_matrix, held_out_matrix)):
            found.append(f"{member.member.name}, fold {fold}: the booster")
    return found


def same_booster(one: MemberFold, other: MemberFold, matrix: Matrix) -> bool:
    """Whether two boosters say the same of every row of a matrix."""
    everyone = np.arange(len(matrix.values))
    try:
        left, right = (
            predict_member(job.member, job.folder, matrix, everyone, threads=job.space.threads) for job in (one, other)
        )
    except DataError:
        # A booster fitted on other columns cannot even read the matrix.
        return False
    return np.array_equal(left, right)


def said_differently(one: Workspace, other: Workspace, fold: int) -> list[str]:
    """Out-of-fold columns, networks and boosters whose values for the lesions of a fold differ between two runs."""
    found = []
    own = pl.Series(one.folds.fold == fold)
    for stage in ("oof", "tabular"):
        paths = [run.run_dir / stage / "oof.parquet" for run in (one, other)]
        if paths[0].is_file():
            left, right = (pl.read_parquet(path).filter(own) for path in paths)
            found += [f"{name}: values of fold {fold}" for name in left.columns if not left[name].equals(right[name])]
    for job in models_without(one, fold):
        left, right = (FoldModel(run, job.model, job.left_out).predictions().frame() for run in (one, other))
        if not left.equals(right):
            found.append(f"{job.title}: values of its held-out lesions")
    return found


def differing_files(one: Path, other: Path) -> Iterator[str]:
    """Weights and training records of two folders that differ."""
    from safetensors.numpy import load_file

    for path in sorted(one.iterdir()):
        twin = other / path.name
        if path.suffix == ".safetensors":
            left, right = load_file(path), load_file(twin)
            if left.keys() != right.keys() or any(not np.array_equal(left[name], right[name]) for name in left):
                yield f"weights in {path.name}"
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


def differing_part(one: Workspace, other: Workspace, fold: int) -> str:
    """Which parts of a stored encoder differ."""
    left, right = (read_json(encoder_path(run.run_dir, fold)) for run in (one, other))
    return ", ".join(name for name in left if left[name] != right.get(name))
