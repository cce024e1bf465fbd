"""`fusionnetx export`: a folder that `predict` runs: networks, boosters, encoders, blend, calibration, and the card.

No lesion of the training data is in it: what models said of them (*.parquet) stays behind.
"""

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.files import fingerprint, sha256_of, write_json
from data.held import held_folder
from data.predictions import Predictions
from pipeline.actions.outputs import refuse_folder
from pipeline.actions.predict import finished_plan
from pipeline.card.build import carry_card
from pipeline.export.onnx_network import FILE, OnnxNetwork
from pipeline.export.onnx_network import FILE as ONNX
from pipeline.inputs import Inputs
from pipeline.plan import Plan, plan_of
from pipeline.run import EXPORT_FILE, RECIPE_FILE
from pipeline.run import FILE as RUN_FILE
from pipeline.runtime import Runtime
from pipeline.scoring import score_columns
from pipeline.stage_two import PREDICTIONS
from pipeline.step import Step
from pipeline.step_reports import CHECKSUM
from pipeline.steps.fold_model import WEIGHTS, fold_model_of
from pipeline.steps.lesions import shared_training_lesions
from pipeline.steps.metadata import with_stored_metadata

Form = Literal["weights", "onnx", "half", "int8"]
"""How networks are written: as torch reads them, as ONNX, with half the digits, with whole numbers of eight bits."""
LEFT_BEHIND = (".parquet", "training.json")


@dataclass(frozen=True)
class Packed:
    """An exported folder that is being filled."""

    plan: Plan
    runtime: Runtime
    folder: Path
    form: Form
    classes: int

    def place(self, step: Step) -> Path:
        """Where a step's files go: the same places as in the run."""
        return self.folder / step.folder.relative_to(self.plan.run.folder)

    def take(self, step: Step) -> None:
        """Copy what predicts, and the report with those files alone."""
        report, place = step.report(), self.place(step)
        assert report is not None
        place.mkdir(parents=True, exist_ok=True)
        kept = [name for name in step.artefacts() if not name.endswith(LEFT_BEHIND)]
        if step.kind == "fold model" and self.form != "weights":
            kept = [name if name != WEIGHTS else ONNX for name in kept]
            self.write_network(step, place / ONNX)
        for name in kept:
            if name != ONNX:
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(step.folder / name, place / name)
        facts = {name: {"bytes": (place / name).stat().st_size, "sha256": sha256_of(place / name)} for name in kept}
        new: dict[str, Any] = {**report, "artefacts": facts}
        new.pop(CHECKSUM, None)
        new[CHECKSUM] = fingerprint(json.loads(json.dumps(new)))
        write_json(place / step.report_name, new)

    def write_network(self, step: Step, path: Path) -> None:
        """One fold's network as ONNX."""
        from image_models.networks.model_file import load_model
        from image_models.onnx_file import write_onnx

        model, run = fold_model_of(step).model, self.plan.run
        network = load_model(step.folder / WEIGHTS, model, self.classes)
        write_onnx(network, model, run.recipe.data.image_size, path, half=self.form == "half")
        if self.form == "int8":
            quantise(path)


def run_export(inputs: Inputs, runtime: Runtime, out: Path, form: Form) -> None:
    """Write the folder, and say how far its networks are from the run's own."""
    run = inputs.run
    refuse_folder(out)
    if out.exists():
        raise DataError(f"{out} is already there; move it away, or name another folder with --out")
    plan = finished_plan(run)
    if form != "weights" and not run.recipe.image_models:
        raise DataError(f"{run.folder} has no image models to write as ONNX; leave out --onnx")
    with held_folder(out) as working:
        packed = Packed(plan, runtime, working, form, len(inputs.data.train.task.classes) if form != "weights" else 0)
        steps = plan.for_prediction
        with runtime.display.task(f"export: {len(steps)} steps") as progress:
            for done, step in enumerate(steps, 1):
                packed.take(step)
                progress(done, len(steps))
        shutil.copyfile(run.folder / RECIPE_FILE, working / RECIPE_FILE)
        write_json(working / RUN_FILE, {"format": 1, "reader": run.recipe.data.reader, "data": None,
                                        "invented": run.invented})  # fmt: skip
        found = measured(inputs, runtime, packed.place) if form != "weights" else {}
        write_json(working / EXPORT_FILE, {"run": run.name, "form": form, "image_models": found})
        carry_card(run, working)
        working.rename(out)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    for name, one in found.items():
        runtime.display.say(
            f"{name}: {one['score']} {one['before']:.4f} as trained, {one['after']:.4f} as {form} "
            f"({one['after'] - one['before']:+.4f}) on {one['lesions']:,} lesions out of fold; "
            f"largest difference of a probability {one['difference']:.2g}"
        )
    runtime.display.say(f"{out}: {size / 1e6:,.1f} MB; use it with `fusionnetx predict --run {out}`")


def quantise(path: Path) -> None:
    """Weights, and the numbers that meet them, as whole numbers of eight bits; in place."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared, before = path.with_suffix(".prepared"), logging.root.manager.disable
    # It would print for every file that the packed pixels cannot be made whole numbers of eight bits: they are.
    logging.disable(logging.WARNING)
    try:
        quant_pre_process(path, prepared, skip_symbolic_shape=True)
        quantize_dynamic(prepared, path, weight_type=QuantType.QUInt8)
    finally:
        logging.disable(before)
        prepared.unlink(missing_ok=True)


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
