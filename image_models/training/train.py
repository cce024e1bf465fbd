"""Training one image model for one fold: from training rows to `model.safetensors`, interruptible at every step.

    train_fold(task, places) -> plan -> Fit.run (once or twice) -> model.safetensors, training.json

The held-out fold never reaches this module. Predicting it, and telling the user which model and fold this is, is left
to the caller.
"""

import dataclasses
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn

from data.errors import Interrupted
from data.files import fingerprint, write_json
from data.progress import Progress, silent
from image_models.device import choose_device, explained_out_of_memory, peak_memory_bytes, reproducible
from image_models.frozen import kept_vectors
from image_models.networks.layers import batch_norms, branch_batch_norms
from image_models.networks.memory import memory_remedy
from image_models.networks.model_file import finished_by, load_model, save_model
from image_models.networks.zoo import build
from image_models.precision import Precision, choose_precision, goes_on_in
from image_models.predict import placed
from image_models.setup import Setup
from image_models.training.ddp_model import DdpModel, with_shared_statistics
from image_models.training.distributed import ALONE, Ranks
from image_models.training.fit import Fit
from image_models.training.inputs import Shown
from image_models.training.loader import Resident
from image_models.training.plan import STREAM_START, FitPlan, derived_seed, plan_training
from image_models.training.report import TrainingReport, finished_report
from image_models.training.resume import (
    ForeignStateError,
    earlier_sitting,
    fill,
    position_of,
    refusing_the_foreign,
    tensors_of,
)
from image_models.training.scalars import Scalars
from image_models.training.state import save_state
from image_models.training.task import FoldTask, Places

__all__ = ["MODEL_FILE", "FoldTask", "Places", "Trained", "train_fold"]

log = logging.getLogger(__name__)

STATE_FILE, MODEL_FILE, REPORT_FILE = "last.safetensors", "model.safetensors", "training.json"


@dataclass(frozen=True)
class Trained:
    """A trained network and how it came to be."""

    network: nn.Module
    """What `load_model` would make of the fold's file, built once and ready to predict."""
    report: TrainingReport


def train_fold(
    task: FoldTask, places: Places, *, device: str = "auto", progress: Progress = silent, ranks: Ranks = ALONE
) -> Trained:
    """Train one model and write `model.safetensors` into its folder.

    An unfinished fit goes on from its last saved step; a finished one is not trained again.
    Two runs on one machine's CPU with as many threads agree to the bit. PyTorch's random state is used and put back:
    train one fold at a time in a process. Processes that train together (`ranks`) all call this with the same
    arguments; one of them reads and writes the folder, measures and shows progress. The rows of a batch are shared
    among them: beside rounding and the masks of dropout, the result does not depend on their number.
    """
    place = choose_device(device)
    finished = ranks.leads and finished_by(places.folder / MODEL_FILE, task.key)  # the model file is written last
    done = ranks.agreed(finished_report(places.folder / REPORT_FILE, task.key) if finished else None)
    if done is not None:
        network = load_model(places.folder / MODEL_FILE, task.recipe, task.lesions.classes)
        return Trained(network, TrainingReport.from_dict(done))
    with reproducible(place), explained_out_of_memory(memory_remedy(task.recipe), place):
        try:
            training, report = _trained(task, places, place, progress, ranks)
        except ForeignStateError as error:  # the same in every process: they have it from the leading one
            state = places.folder / STATE_FILE
            log.warning("%s cannot be gone on from (%s); starting anew", state, error)
            if ranks.leads:
                state.unlink()
            training, report = _trained(task, places, place, progress, ranks)
    # Behind this nobody goes on before the model file is there.
    report = TrainingReport.from_dict(ranks.agreed(report.as_dict()))
    return Trained(training.model.eval(), report)


def _trained(
    task: FoldTask, places: Places, place: torch.device, progress: Progress, ranks: Ranks
) -> tuple["_Training", TrainingReport]:
    """The fits, from where the saved state left them."""
    training = _Training(task, places, place, progress, ranks)
    with Scalars(places.log_dir if ranks.leads else None, training.steps_before) as scalars:
        return training, training.run(scalars)


class _Training:
    """The fits of one fold, one after the other, and their saved state."""

    def __init__(self, task: FoldTask, places: Places, device: torch.device, progress: Progress, ranks: Ranks) -> None:
        self.started = self.saved_at = time.monotonic()
        self.recipe, self.places, self.key, self.seed = task.recipe, places, task.key, task.seed
        self.lesions = task.lesions.seen_by(task.recipe)
        self.progress, self.ranks = progress, ranks
        self.before = earlier_sitting(places.folder / STATE_FILE, task.key, ranks, keep_threads=task.keep_threads)
        self.model = self._start(device)
        self.plan = plan_training(
            task.recipe,
            self.lesions,
            task.rows,
            task.seed,
            smallest_batch=self._smallest_batch(),
            inner_rows=task.inner_rows,
        )
        precision: Precision = ranks.agreed(self._precision(device) if ranks.leads else None)
        self.setup = Setup(device, precision, ranks)
        self.vectors = self._vectors() if task.recipe.trains_on_vectors else None
        # From here on every forward pass in training needs all processes.
        if ranks.count > 1:
            self.model = with_shared_statistics(self.model, device)
        self.ddp_model = DdpModel(self.model, ranks, self._sample())
        self.curves = self.before.curves
        self.seconds_before: float = self.before.position.get("seconds", 0.0)
        self.steps_before: int = self.before.position.get("steps", 0)

    def _start(self, device: torch.device) -> nn.Module:
        """The network as this sitting finds it, on the device: new, pretrained or taken up."""
        torch.manual_seed(derived_seed(self.seed, STREAM_START))
        # Weights that a saved state or the leading process's are about to replace need no download.
        fresh = self.ranks.leads and not self.before.begun
        start = self.recipe if fresh else dataclasses.replace(self.recipe, pretrained="none")
        shape, weights_dir = self.lesions.metadata_shape, self.places.weights_dir
        model: nn.Module = build(start, self.lesions.classes, weights_dir=weights_dir, metadata=shape)
        if self.before.begun:
            # A frozen network's vectors are made before the fit takes up the rest of its state.
            with refusing_the_foreign():
                fill(model, self.before.model)
        model = placed(model, self.recipe, device)
        self.ranks.same_weights(model)
        return model

    def _smallest_batch(self) -> int:
        """2 where a layer that learns normalises by the batch."""
        held = branch_batch_norms(self.model) if self.recipe.frozen else []
        return 2 if set(batch_norms(self.model)) - set(held) else 1

    def _sample(self) -> Shown:
        """Two lesions as the network will be shown them, blank."""
        side, device, metadata = self.recipe.input_size, self.setup.device, self.lesions.metadata
        numbers = None if metadata is None else torch.zeros(2, metadata.shape[1], device=device)
        if self.vectors is not None:
            return Shown(None, self.vectors.images[:1].expand(2, *self.vectors.images.shape[1:]), numbers)
        return Shown(torch.zeros(2, 3, side, side, device=device), None, numbers)

    def _precision(self, device: torch.device) -> Precision:
        """The number format; one fit keeps its own even if a measurement would now come out differently."""
        if self.before.begun:
            begun_in: Precision = self.before.position["precision"]
            if goes_on_in(begun_in, self.before.position["device"], device):
                return begun_in
        metadata = self.lesions.metadata
        return choose_precision(
            self.recipe,
            device,
            self.model,
            cache_dir=self.places.cache_dir,
            metadata_columns=0 if metadata is None else metadata.shape[1],
        )

    def _vectors(self) -> Resident:
        """What stands in place of images, for every row that a fit shows or scores."""
        rows = [fit.sampler.rows_of_fit(fit.epochs) for fit in self.plan.fits]
        if self.plan.inner_rows is not None:
            rows.append(self.plan.inner_rows)
        return kept_vectors(
            self.model,
            self.recipe,
            self.lesions,
            np.unique(np.concatenate(rows)),
            self.setup,
            cache_dir=self.places.cache_dir,
            progress=self.progress,
        )

    def run(self, scalars: Scalars) -> TrainingReport:
        """Run the fits that are not finished, write the model and say how it went."""
        for plan in self.plan.fits:
            if plan.number >= self.before.position.get("fit", 1):
                fit = self._fit(plan)
                fit.run(self._teller(fit, scalars))
                self.curves += fit.tally.curves
                selected = fit.tally.best_epoch or plan.epochs
        report = self._report(selected)
        if self.ranks.leads:
            self._write(report)
        return report

    def _write(self, report: TrainingReport) -> None:
        """Write the model, the mark of "done", and let go of the state."""
        figures = report.as_dict()
        content = {"key": self.key, "report": figures, "checksum": fingerprint(figures)}
        write_json(self.places.folder / REPORT_FILE, content)
        save_model(
            self.places.folder / MODEL_FILE,
            self.model.state_dict(),
            self.recipe,
            self.lesions.classes,
            self.key,
            metadata=self.lesions.metadata_shape,
        )
        (self.places.folder / STATE_FILE).unlink(missing_ok=True)

    def _fit(self, plan: FitPlan) -> Fit:
        """A fit at its start, or where the saved state left it."""
        fit = Fit(
            self.ddp_model,
            self.recipe,
            self.lesions,
            plan,
            self.setup,
            seed=self.seed,
            inner_rows=self.plan.inner_rows,
            vectors=self.vectors,
        )
        self.before.continue_fit(fit)
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
            "state": position_of(fit),
            "steps": done,
            "seconds": self._seconds(),
            "curves": [dataclasses.asdict(curve) for curve in self.curves],
            "device": self.setup.device.type,
            "precision": self.setup.precision,
            "threads": torch.get_num_threads(),
        }
        save_state(self.places.folder / STATE_FILE, self.key, tensors_of(fit), position)
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
            peak_memory_bytes=peak_memory_bytes(self.setup.device),
            device=self.ranks.device_name(self.setup.device),
            precision=self.setup.precision,
            parameters=sum(parameter.numel() for parameter in self.model.parameters()),
            resumed_at_step=self.steps_before or None,
            threads=torch.get_num_threads(),
            inner_left_out=self.plan.inner_left_out,
        )
