"""Training one image model for one fold: from training rows to `model.safetensors`, interruptible at every step.

    train_fold(recipe, lesions, rows) -> plan -> Fit.run (once or twice) -> model.safetensors, training.json

The held-out fold never reaches this module. Predicting it, and telling the user which model and fold this is, is left
to the caller.
"""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from data.errors import Interrupted
from data.files import read_json, write_json
from data.progress import Progress, silent
from image_models.device import choose_device, explained_out_of_memory, peak_memory_bytes, reproducible
from image_models.frozen import kept_vectors
from image_models.lesions import Lesions
from image_models.networks.model_file import finished_by, save_model
from image_models.networks.zoo import build
from image_models.precision import Precision, choose_precision
from image_models.predict import placed
from image_models.recipe import ImageModelRecipe
from image_models.training.ddp_model import Learner, with_shared_statistics
from image_models.training.distributed import ALONE, Ranks
from image_models.training.fit import Fit
from image_models.training.groups import batch_norms, branch_batch_norms
from image_models.training.inputs import Shown
from image_models.training.loader import Ints, Resident
from image_models.training.plan import STREAM_START, FitPlan, derived_seed, plan_training
from image_models.training.report import EpochCurve, TrainingReport
from image_models.training.scalars import Scalars
from image_models.training.state import load_state, save_state, taken_from

STATE_FILE, MODEL_FILE, REPORT_FILE = "last.safetensors", "model.safetensors", "training.json"


def train_fold(
    recipe: ImageModelRecipe,
    lesions: Lesions,
    train_rows: Ints,
    *,
    folder: Path,
    seed: int,
    fingerprint: str,
    device: str = "auto",
    weights_dir: Path | None = None,
    cache_dir: Path | None = None,
    log_dir: Path | None = None,
    inner_rows: Ints | None = None,
    progress: Progress = silent,
    ranks: Ranks = ALONE,
) -> TrainingReport:
    """Train one model on `train_rows` and write `model.safetensors` into `folder`.

    A row named twice is shown twice an epoch.
    `fingerprint` stands for the recipe and the data: a state or model in `folder` made under another fingerprint or
    seed is not taken up. An unfinished fit goes on from its last saved step; a finished one is not trained again.
    `cache_dir` keeps the precision measured for this machine (none: no measurement) and the image vectors of frozen
    networks (none: computed again). `log_dir` receives TensorBoard scalars. `inner_rows` compare the epochs of
    `select = "best"` where a protocol names them; else they are split off the training rows.
    Every random number derives from `seed`, so
    two runs on one machine's CPU with as many threads agree to the bit. PyTorch's random state is used and put back:
    train one fold at a time in a process. Processes that train together (`ranks`) all call this with the same
    arguments; one of them reads and writes the folder, measures and shows progress. The rows of a batch are shared
    among them: beside rounding and the masks of dropout, the result does not depend on their number.
    """
    key = {"fingerprint": fingerprint, "seed": seed}
    done = _finished_report(folder, key) if ranks.leads else None
    done = ranks.agreed(done)
    if done is not None:
        return TrainingReport.from_dict(done)
    place = choose_device(device)
    with reproducible(place), explained_out_of_memory(_memory_remedy(recipe), place):
        training = _Training(
            recipe, lesions, train_rows, folder, key, place, weights_dir, cache_dir, inner_rows, progress, ranks
        )
        with Scalars(log_dir if ranks.leads else None, training.steps_before) as scalars:
            report = training.run(scalars)
    # Behind this nobody goes on before the model file is there.
    return TrainingReport.from_dict(ranks.agreed(report.as_dict()))


def _memory_remedy(recipe: ImageModelRecipe) -> str:
    """What to change when the device's memory is full."""
    batch = (
        f"lower batch_size (now {recipe.batch_size}; raise accumulate, now {recipe.accumulate}, by the same factor to "
        "keep the step)"
    )
    if recipe.trains_on_vectors:
        return batch
    return f"{batch} or image_size (now {recipe.image_size}), or set precision = 'bf16' or resident = 'host'"


def _finished_report(folder: Path, key: dict[str, Any]) -> dict[str, Any] | None:
    """Report of a fit that this key finished before; the model file is written last."""
    if not finished_by(folder / MODEL_FILE, key) or not (folder / REPORT_FILE).exists():
        return None
    found: dict[str, Any] = read_json(folder / REPORT_FILE)
    return found["report"] if found["key"] == key else None


class _Training:
    """The fits of one fold, one after the other, and their saved state."""

    def __init__(
        self,
        recipe: ImageModelRecipe,
        lesions: Lesions,
        train_rows: Ints,
        folder: Path,
        key: dict[str, Any],
        device: torch.device,
        weights_dir: Path | None,
        cache_dir: Path | None,
        inner_rows: Ints | None,
        progress: Progress,
        ranks: Ranks,
    ) -> None:
        self.started = self.saved_at = time.monotonic()
        self.lesions = lesions = lesions.seen_by(recipe)
        self.recipe, self.folder, self.key, self.device = recipe, folder, key, device
        self.progress, self.ranks = progress, ranks
        self.seed: int = key["seed"]
        saved = ranks.agreed_state(load_state(folder / STATE_FILE, key) if ranks.leads else None)
        self.tensors, self.position = saved if saved is not None else ({}, {})
        torch.manual_seed(derived_seed(self.seed, STREAM_START))
        # Weights that a saved state or the leading process's are about to replace need no download.
        start = recipe if saved is None and ranks.leads else dataclasses.replace(recipe, pretrained="none")
        model = build(start, lesions.classes, weights_dir=weights_dir, metadata=lesions.metadata_shape)
        if saved is not None:
            # A frozen network's vectors are made before the fit takes up the rest of its state.
            model.load_state_dict(taken_from("model", self.tensors))
        self.model = placed(model, recipe, device)
        ranks.same_weights(self.model)
        normalising = set(batch_norms(self.model)) - (set(branch_batch_norms(self.model)) if recipe.frozen else set())
        self.plan = plan_training(
            recipe, lesions, train_rows, self.seed, smallest_batch=2 if normalising else 1, inner_rows=inner_rows
        )
        self.precision: Precision = ranks.agreed(self._precision(cache_dir) if ranks.leads else None)
        self.vectors = self._vectors(cache_dir) if recipe.trains_on_vectors else None
        # From here on every forward pass in training needs all processes.
        if ranks.count > 1:
            self.model = with_shared_statistics(self.model, device)
        self.learner = Learner(self.model, ranks, self._sample())
        self.curves = [EpochCurve(**curve) for curve in self.position.get("curves", [])]
        self.seconds_before: float = self.position.get("seconds", 0.0)
        self.steps_before: int = self.position.get("steps", 0)

    def _sample(self) -> Shown:
        """Two lesions as the network will be shown them, blank."""
        side, metadata = self.recipe.input_size, self.lesions.metadata
        told = None if metadata is None else torch.zeros(2, metadata.shape[1], device=self.device)
        if self.vectors is not None:
            return Shown(None, self.vectors.images[:1].expand(2, *self.vectors.images.shape[1:]), told)
        return Shown(torch.zeros(2, 3, side, side, device=self.device), None, told)

    def _precision(self, cache_dir: Path | None) -> Precision:
        """The number format; one fit keeps its own even if a measurement would now come out differently."""
        if self.position.get("device") == self.device.type:
            precision: Precision = self.position["precision"]
            return precision
        metadata = self.lesions.metadata
        return choose_precision(
            self.recipe,
            self.device,
            self.model,
            cache_dir=cache_dir,
            metadata_columns=0 if metadata is None else metadata.shape[1],
        )

    def _vectors(self, cache_dir: Path | None) -> Resident:
        """What stands in place of images, for every row that a fit shows or scores."""
        rows = [fit.sampler.rows_of_fit(fit.epochs) for fit in self.plan.fits]
        if self.plan.inner_rows is not None:
            rows.append(self.plan.inner_rows)
        return kept_vectors(
            self.model,
            self.recipe,
            self.lesions,
            np.unique(np.concatenate(rows)),
            device=self.device,
            precision=self.precision,
            cache_dir=cache_dir,
            progress=self.progress,
            ranks=self.ranks,
        )

    def run(self, scalars: Scalars) -> TrainingReport:
        """Run the fits that are not finished, write the model and say how it went."""
        for plan in self.plan.fits:
            if plan.number >= self.position.get("fit", 1):
                fit = self._fit(plan)
                if self.recipe.compile:
                    self.model.compile()
                fit.run(self._teller(fit, scalars))
                self.curves += fit.tally.curves
                selected = fit.tally.best_epoch or plan.epochs
        report = self._report(selected)
        if self.ranks.leads:
            self._write(report)
        return report

    def _write(self, report: TrainingReport) -> None:
        """Write the model, the mark of "done", and let go of the state."""
        write_json(self.folder / REPORT_FILE, {"key": self.key, "report": report.as_dict()})
        save_model(
            self.folder / MODEL_FILE,
            self.model.state_dict(),
            self.recipe,
            self.lesions.classes,
            self.key,
            metadata=self.lesions.metadata_shape,
        )
        (self.folder / STATE_FILE).unlink(missing_ok=True)

    def _fit(self, plan: FitPlan) -> Fit:
        """A fit at its start, or where the saved state left it."""
        fit = Fit(
            self.model,
            self.recipe,
            self.lesions,
            plan,
            self.plan.inner_rows,
            seed=self.seed,
            device=self.device,
            precision=self.precision,
            vectors=self.vectors,
            learner=self.learner,
        )
        if self.position.get("fit") == plan.number:
            fit.restore(self.tensors, self.position["state"])
            self.tensors = {}  # the copies are in the fit now
        return fit

    def _teller(self, fit: Fit, scalars: Scalars) -> Callable[[], None]:
        """What happens after every step: the listener hears of it, and the state is saved when it is due."""
        # A fit that stopped early took fewer steps than planned.
        earlier = self._taken("steps_per_epoch")
        total = earlier + sum(plan.total_steps for plan in self.plan.fits if plan.number >= fit.plan.number)

        def tell() -> None:
            if not self.ranks.leads:
                return
            done = earlier + fit.steps_done
            figures = fit.figures()
            scalars.write(done, figures)
            try:
                self.progress(done, total, **figures)
            except Interrupted:
                self._save(fit, done)
                raise
            if time.monotonic() - self.saved_at >= self.recipe.checkpoint_seconds:
                self._save(fit, done)

        return tell

    def _save(self, fit: Fit, done: int) -> None:
        """Save where the fold stands."""
        fit.settle()
        position = {
            "fit": fit.plan.number,
            "state": fit.position(),
            "steps": done,
            "seconds": self._seconds(),
            "curves": [dataclasses.asdict(curve) for curve in self.curves],
            "device": self.device.type,
            "precision": self.precision,
        }
        save_state(self.folder / STATE_FILE, self.key, fit.tensors(), position)
        self.saved_at = time.monotonic()

    def _seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started

    def _taken(self, what: Literal["steps_per_epoch", "images_per_epoch"]) -> int:
        """Steps or images of all epochs of the fits that are over."""
        samplers = {fit.number: fit.sampler for fit in self.plan.fits}
        return sum(getattr(samplers[curve.fit], what) for curve in self.curves)

    def _report(self, selected_epoch: int) -> TrainingReport:
        images = self._taken("images_per_epoch")
        return TrainingReport(
            epochs=tuple(self.curves),
            selected_epoch=selected_epoch,
            steps=self._taken("steps_per_epoch"),
            images=images,
            seconds=self._seconds(),
            images_per_second=images / sum(curve.seconds for curve in self.curves),
            peak_memory_bytes=peak_memory_bytes(self.device),
            device=self.ranks.device_name(self.device),
            precision=self.precision,
            parameters=sum(parameter.numel() for parameter in self.model.parameters()),
            resumed_at_step=self.steps_before or None,
        )
