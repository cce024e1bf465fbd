"""Stage two on lesions without an answer: every fold's encoder and boosters, then the blend."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.files import read_json
from data.progress import Progress
from features.encode import Encoder
from features.table import FeatureTable
from pipeline.steps.features import encoder_path
from pipeline.steps.tabular import member_dir
from pipeline.workspace import Workspace
from tabular.blend import BlendState
from tabular.crossfit import predict_member


def predict_members(space: Workspace, table: FeatureTable, progress: Progress) -> dict[str, npt.NDArray[np.float64]]:
    """Mean over folds and seeds of every member, and their blend, in the order of the table."""
    tabular = space.recipe.tabular
    folds = fold_count(space)
    everyone = np.arange(table.frame.height)
    sums: dict[str, npt.NDArray[np.float64]] = {}
    for fold in range(folds):
        matrix = Encoder.from_json(stored(encoder_path(space.run_dir, fold))).transform(table)
        for member in tabular.members:
            for seed in member.seeds:
                probability = predict_member(
                    member, member_dir(space, member, fold, seed), matrix, everyone, threads=space.threads
                )
                share = probability / (folds * len(member.seeds))
                sums[member.name] = sums.get(member.name, 0.0) + share
        progress(fold + 1, folds)
    state = BlendState.from_json(stored(space.run_dir / "tabular" / "blend.json"))
    return {**sums, "blend": state.apply(sums)}


def stored(path: Path) -> Any:
    """What a stage kept as JSON."""
    try:
        return read_json(path)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is missing or damaged ({error}); run `fusionnetx tabular` with its recipe") from error


def fold_count(space: Workspace) -> int:
    """How many folds the finished run has, counted by its encoders."""
    count = 0
    while encoder_path(space.run_dir, count).is_file():
        count += 1
    if not count:
        raise DataError(f"{space.run_dir} has no trained stage two; run `fusionnetx tabular` with its recipe first")
    return count
