"""What a network lost on its way into another form: asked of training lesions that its fold left out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.predictions import Predictions
from pipeline.export.onnx_network import FILE, OnnxNetwork
from pipeline.inputs import Inputs
from pipeline.plan import plan_of
from pipeline.runtime import Runtime
from pipeline.scoring import score_columns
from pipeline.stage_two import PREDICTIONS
from pipeline.step import Step
from pipeline.steps.fold_model import fold_model_of
from pipeline.steps.lesions import shared_training_lesions
from pipeline.steps.metadata import with_stored_metadata

MOST = 20_000
"""Lesions that are asked about, of whole patients: those with positive lesions first, the others as they come."""


def measured(inputs: Inputs, runtime: Runtime, place: Callable[[Step], Path]) -> dict[str, dict[str, Any]]:
    """For each image model its score before and after on the same lesions, and the largest difference."""
    train, folds = inputs.data.train, inputs.folds
    task, rows = train.task, sampled(train.target, train.groups)
    lesions = shared_training_lesions(inputs, runtime)
    steps = plan_of(inputs).fold_models
    found: dict[str, dict[str, Any]] = {}
    columns = {fold_model_of(step).model.name: np.full((2, len(train.ids), lesions.columns), np.nan) for step in steps}
    with runtime.display.task(f"export: asking {len(steps)} networks again") as progress:
        for done, step in enumerate(steps, 1):
            work = fold_model_of(step)
            own = np.intersect1d(rows, work.held_out(folds))
            shown = with_stored_metadata(work.model, place(step), train.table, lesions)
            network = OnnxNetwork.open(place(step) / FILE, work.model, runtime.threads)
            said = Predictions.read(step.folder / PREDICTIONS, task.probability_columns)
            at = {str(name): i for i, name in enumerate(said.lesion_id)}
            before, after = columns[work.model.name]
            before[own] = said.probabilities[[at[str(name)] for name in train.ids[own]]]
            after[own] = network.predict(shown, own)
            progress(done, len(steps))
    for name, (before, after) in columns.items():
        scores = [
            score_columns(train, {"": flat(one[rows])}, seed=0, rows=rows, replicates=0)[""] for one in (before, after)
        ]
        found[name] = {
            "score": task.score,
            "before": scores[0][task.score]["estimate"],
            "after": scores[1][task.score]["estimate"],
            "difference": float(np.nanmax(np.abs(before - after))),
            "lesions": int(np.isfinite(after[rows]).all(axis=1).sum()),
        }
    return found


def flat(probability: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """One column as a vector."""
    return probability[:, 0] if probability.shape[1] == 1 else probability


def sampled(target: npt.NDArray[np.int64], groups: npt.NDArray[Any], most: int = MOST) -> npt.NDArray[np.int64]:
    """Rows of whole patients, those with positive lesions first, until there are enough."""
    names, patient, counts = np.unique(groups, return_inverse=True, return_counts=True)
    positive = np.bincount(patient[target > 0], minlength=len(names)) > 0
    order = np.argsort(~positive, kind="stable")
    taken = order[: max(1, int(np.searchsorted(np.cumsum(counts[order]), most, side="right")))]
    return np.flatnonzero(np.isin(patient, taken)).astype(np.int64)
