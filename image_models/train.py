"""Training one image model for one fold: from training rows to `model.safetensors`, interruptible at every step.

    train_fold(recipe, lesions, rows) -> plan -> Fit.run (once or twice) -> model.safetensors, training.json

The held-out fold never reaches this module. Predicting it, and telling the user which model and fold this is, is left
to the caller.
"""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from data.errors import Interrupted
from data.files import read_json, write_json
from data.progress import Progress, silent
from image_models.device import choose_device, device_name, explained_out_of_memory, peak_memory_bytes, reproducible
from image_models.fit import Fit
from image_models.groups import batch_norms
from image_models.lesions import Lesions
from image_models.loader import Ints
from image_models.model_file import finished_by, save_model
from image_models.plan import STREAM_START, FitPlan, derived_seed, plan_training
from image_models.precision import Precision, choose_precision
from image_models.predict import placed
from image_models.recipe import ImageModelRecipe
from image_models.scalars import Scalars
from image_models.state import load_state, save_state
from image_models.training_report import EpochCurve, TrainingReport
from image_models.zoo import build

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
    progress: Progress = silent,
) -> TrainingReport:
    """Train one model on `train_rows` and write `model.safetensors` into `folder`.

    `fingerprint` stands for the recipe and the data: a state or model in `folder` made under another fingerprint or
    seed is not taken up. An unfinished fit goes on from its last saved step; a finished one is not trained again.
    `cache_dir` keeps the precision measured for this machine (none: no measurement). `log_dir` receives TensorBoard
    scalars. Every random number derives from `seed`, so two runs on one machine's CPU with as many threads agree to
    the bit. PyTorch's random state is used and put back: train one fold at a time in a process.
    """
    key = {"fingerprint": fingerprint, "seed": seed}
    done = _finished_report(folder, key)
    if done is not None:
        return done
    place = choose_device(device)
    remedy = (
        f"lower batch_size (now {recipe.batch_size}; raise accumulate, now {recipe.accumulate}, by the same factor to "
        f"keep the step) or image_size (now {recipe.image_size}), or set precision = 'bf16' or resident = 'host'"
    )
    with reproducible(place), explained_out_of_memory(remedy, place):
        training = _Training(recipe, lesions, train_rows, folder, key, place, weights_dir, cache_dir, progress)
        with Scalars(log_dir, training.steps_before) as scalars:
            return training.run(scalars)


def _finished_report(folder: Path, key: dict[str, Any]) -> TrainingReport | None:
    """Report of a fit that this key finished before; the model file is written last."""
    if not finished_by(folder / MODEL_FILE, key) or not (folder / REPORT_FILE).exists():
        return None
    found = read_json(folder / REPORT_FILE)
    return TrainingReport.from_dict(found["report"]) if found["key"] == key else None


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
        progress: Progress,
    ) -> None:
        self.recipe, self.lesions, self.folder, self.key, self.device = recipe, lesions, folder, key, device
        self.progress = progress
        self.seed: int = key["seed"]
        saved = load_state(folder / STATE_FILE, key)
        self.tensors, self.position = saved if saved is not None else ({}, {})
        torch.manual_seed(derived_seed(self.seed, STREAM_START))
        # Weights that a saved state is about to replace need no download.
        start = recipe if saved is None else dataclasses.replace(recipe, pretrained="none")
        self.model = placed(build(start, lesions.classes, weights_dir=weights_dir), recipe, device)
        self.plan = plan_training(
            recipe, lesions, train_rows, self.seed, smallest_batch=2 if batch_norms(self.model) else 1
        )
        self.precision = self._precision(cache_dir)
        self.curves = [EpochCurve(**curve) for curve in self.position.get("curves", [])]
        self.seconds_before: float = self.position.get("seconds", 0.0)
        self.steps_before: int = self.position.get("steps", 0)
        self.started = self.saved_at = time.monotonic()

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

    def run(self, scalars: Scalars) -> TrainingReport:
        """Run the fits that are not finished, write the model and say how it went."""
        earlier = 0
        for plan in self.plan.fits:
            if plan.number >= self.position.get("fit", 1):
                fit = self._fit(plan)
                if self.recipe.compile:
                    self.model.compile()
                fit.run(self._teller(fit, earlier, scalars))
                self.curves += fit.tally.curves
                selected = fit.tally.best_epoch or plan.epochs
            earlier += plan.total_steps
        report = self._report(selected)
        write_json(self.folder / REPORT_FILE, {"key": self.key, "report": report.as_dict()})
        save_model(self.folder / MODEL_FILE, self.model.state_dict(), self.recipe, self.lesions.classes, self.key)
        (self.folder / STATE_FILE).unlink(missing_ok=True)
        return report

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
        )
        if self.position.get("fit") == plan.number:
            fit.restore(self.tensors, self.position["state"])
            self.tensors = {}  # the copies are in the fit now
        return fit

    def _teller(self, fit: Fit, earlier: int, scalars: Scalars) -> Callable[[], None]:
        """What happens after every step: the listener hears of it, and the state is saved when it is due."""
        total = self.plan.total_steps

        def tell() -> None:
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

    def _report(self, selected_epoch: int) -> TrainingReport:
        images = sum(fit.epochs * fit.sampler.images_per_epoch for fit in self.plan.fits)
        return TrainingReport(
            epochs=tuple(self.curves),
            selected_epoch=selected_epoch,
            steps=self.plan.total_steps,
            images=images,
            seconds=self._seconds(),
            images_per_second=images / sum(curve.seconds for curve in self.curves),
            peak_memory_bytes=peak_memory_bytes(self.device),
            device=device_name(self.device),
            precision=self.precision,
            parameters=sum(parameter.numel() for parameter in self.model.parameters()),
            resumed_at_step=self.steps_before or None,
        )
