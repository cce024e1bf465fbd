"""One fit of one network: epochs of optimiser steps, the average of the weights, and the choice among epochs.

Everything random in a step comes from streams named by the step's number, so the position (`Tally`), the tensors and
nothing else make up the state of a fit. Saving that state is left to `resume.py`, what happens between fits to
`train.py`.
"""

import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from data.errors import TrainingError
from image_models.lesions import Ints, Lesions
from image_models.networks.layers import branch_batch_norms, held_batch_norms
from image_models.precision import autocast
from image_models.predict import predict_on
from image_models.recipe import ImageModelRecipe
from image_models.setup import Setup
from image_models.training.ddp_model import DdpModel
from image_models.training.inner_score import checked_score, inner_score, progress_scores
from image_models.training.inputs import StepInput, step_inputs
from image_models.training.loader import Resident, overlapped, resident_images
from image_models.training.losses import class_weights, summed_loss
from image_models.training.optimise import AveragedModel, Optimiser
from image_models.training.plan import FitPlan, derived_seed
from image_models.training.report import EpochCurve
from image_models.training.schedule import epochs_without_gain, learning_rate
from image_models.training.shown_scores import ShownScores

STEPS_IN_FLIGHT = 8
"""Steps a GPU may be behind before its loss is read: reading at once would leave it idle between steps."""


@dataclass
class Tally:
    """Where a fit stands, in plain numbers."""

    epoch: int = 0
    """Finished epochs."""
    step: int = 0
    """Steps taken in the present epoch."""
    loss_sum: float = 0.0
    weight_sum: float = 0.0
    images: int = 0
    seconds: float = 0.0
    """Loss, weights, images and time of the present epoch."""
    best_epoch: int = 0
    best_score: float | None = None
    curves: list[EpochCurve] = field(default_factory=list)


@dataclass(frozen=True)
class StepFigures:
    """What a step gave; the numbers may still be on their way from the device."""

    step: int
    rate: float
    rows: Ints
    weight: float
    numbers: Tensor
    """Summed loss and gradient norm."""
    ready: "torch.cuda.Event | None"

    def read(self) -> tuple[float, float]:
        """Wait for the numbers if need be."""
        if self.ready is not None:
            self.ready.synchronize()
        loss, norm = self.numbers.tolist()
        return loss, norm


class Fit:
    """A network being fitted by a plan."""

    def __init__(
        self,
        ddp_model: DdpModel,
        recipe: ImageModelRecipe,
        lesions: Lesions,
        plan: FitPlan,
        setup: Setup,
        *,
        seed: int,
        inner_rows: Ints | None = None,
        vectors: Resident | None = None,
    ) -> None:
        """`vectors` stand in place of the images of every row that the fit shows or scores."""
        self.recipe, self.lesions, self.plan, self.inner_rows = recipe, lesions, plan, inner_rows
        self.setup, self.seed, self.ddp_model, self.vectors = setup, seed, ddp_model, vectors
        self.model = model = ddp_model.model
        self.device, self.ranks = setup.device, setup.ranks
        self.optimiser = Optimiser(model, recipe, setup.precision, setup.device)
        self.average = AveragedModel(model, recipe.ema_decay) if recipe.ema_decay else None
        self.best: dict[str, Tensor] = {}
        self.tally = Tally()
        self.shown = ShownScores(lesions.classes, setup.device)
        self.loss: float | None = None
        self.rate = 0.0
        self.class_weights = class_weights(recipe, plan.sampler.class_counts(plan.labels, lesions.classes))
        self._device_weights = torch.from_numpy(self.class_weights).to(setup.device)
        self._focal_gamma = recipe.focal_gamma if recipe.loss == "focal" else 0.0
        self._pending: deque[StepFigures] = deque()
        self._mark = time.perf_counter()

    @property
    def steps_done(self) -> int:
        """Optimiser steps taken."""
        return self.tally.epoch * self.plan.sampler.steps_per_epoch + self.tally.step

    @property
    def images_per_second(self) -> float:
        """Speed in the present epoch."""
        return self.tally.images / self.tally.seconds if self.tally.seconds else 0.0

    @property
    def scores(self) -> list[float]:
        """Inner scores of the finished epochs."""
        return [curve.inner_score for curve in self.tally.curves if curve.inner_score is not None]

    @property
    def finished(self) -> bool:
        """Whether every epoch was run, or enough in a row brought no better score."""
        patience = self.recipe.stop_after
        return self.tally.epoch >= self.plan.epochs or 0 < patience <= epochs_without_gain(self.scores)

    @property
    def outcome(self) -> nn.Module:
        """The network that would predict now: the averaged one if there is an average."""
        return self.model if self.average is None else self.average.model

    def run(self, tell: Callable[[], None]) -> None:
        """Go on to the end, calling `tell` after every step, and leave the chosen weights in the model."""
        shown = self.plan.sampler.rows_of_fit(self.plan.epochs)
        resident = self.vectors or resident_images(self.recipe, self.lesions, shown, self.device)
        self._mark = time.perf_counter()
        while not self.finished:
            self._train(resident, tell)
            self._close_epoch(tell)
        self.model.load_state_dict(self.best if self.recipe.select == "best" else self.outcome.state_dict())

    def _train(self, resident: Resident | None, tell: Callable[[], None]) -> None:
        """Take the remaining steps of an epoch."""
        self.model.train()
        kept = branch_batch_norms if self.recipe.freeze_batch_norm else held_batch_norms
        for module in kept(self.model):
            module.eval()
        in_flight = STEPS_IN_FLIGHT if self.device.type == "cuda" else 0
        inputs = step_inputs(
            self.recipe,
            self.lesions,
            self.plan,
            self.setup,
            epoch=self.tally.epoch,
            first=self.tally.step,
            seed=self.seed,
            resident=resident,
        )
        with closing(inputs):
            for shown in overlapped(inputs, self.device):
                self._pending.append(self._step(shown))
                self.tally.step += 1
                self.settle(in_flight)
                tell()

    def _step(self, shown: StepInput) -> StepFigures:
        """One optimiser step on one or more batches."""
        rate = learning_rate(shown.number, self.plan.total_steps, self.recipe, self.scores)
        # Dropout and stochastic depth; another process's images must not be dropped from alike.
        torch.manual_seed(shown.seed if self.ranks.leads else derived_seed(shown.seed, self.ranks.number))
        # Of the labels before mixup, which is the same up to the pairing and needs no word from the device.
        weight = float(self.class_weights[self.plan.labels[shown.rows]].sum()) or 1.0
        sums = torch.zeros(2 + self.shown.counts.numel(), device=self.device)
        """The loss, then what is counted of the answers."""
        for batch in shown.batches:
            with self.ddp_model.exchanging(last=batch is shown.batches[-1]):
                with autocast(self.setup.precision, self.device):
                    logits = self.ddp_model.logits(batch.shown)  # (N, outputs)
                loss = summed_loss(logits, batch.shares, self._device_weights, self._focal_gamma)
                # The processes' gradients are averaged, and it is their sum that is wanted.
                self.optimiser.backward(loss / (weight / self.ranks.count))
            sums += torch.cat([loss.detach().reshape(1), self.shown.counted(logits, batch.shares)])
        sums = self.ranks.total(sums)
        self.shown.add(sums[1:])
        norm = self.optimiser.step(rate)
        if self.average is not None:
            self.average.update()
        on_cuda = self.device.type == "cuda"
        numbers = torch.stack([sums[0], norm.float()]).to("cpu", non_blocking=on_cuda)
        ready = None
        if on_cuda:
            ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
            ready.record(torch.cuda.current_stream(self.device))
        return StepFigures(shown.number, rate, shown.rows, weight, numbers, ready)

    def settle(self, in_flight: int = 0) -> None:
        """Account for finished steps until at most `in_flight` are open; stop at a loss that is not a number."""
        while len(self._pending) > in_flight:
            figures = self._pending.popleft()
            loss, norm = figures.read()
            self.loss, self.rate = loss / figures.weight, figures.rate
            # A float16 gradient that overflows is the scaler's business: it skips the step and scales less.
            if not np.isfinite(loss) or not (np.isfinite(norm) or self.setup.precision == "fp16"):
                self._stop_for(figures, norm)
            self.tally.loss_sum += loss
            self.tally.weight_sum += figures.weight
            self.tally.images += len(figures.rows)
        now = time.perf_counter()
        self.tally.seconds += now - self._mark
        self._mark = now

    def _stop_for(self, figures: StepFigures, norm: float) -> None:
        ids, precision = ", ".join(self.lesions.ids[figures.rows]), self.setup.precision
        raise TrainingError(
            f"loss {self.loss}, gradient norm {norm} at step {figures.step + 1} of fit {self.plan.number}, learning "
            f"rate {figures.rate:.3g}, {precision}: lower learning_rate or clip_norm, set precision = 'fp32', or "
            f"look at the lesions of this batch: {ids}"
        )

    def _close_epoch(self, tell: Callable[[], None]) -> None:
        """Score the epoch if epochs compete, and note its curve."""
        self.settle()
        score, inner = None, {}
        if self.inner_rows is not None:
            score, inner = self.ranks.agreed(self._inner_score(tell))
            if self.tally.best_score is None or score > self.tally.best_score:
                self.tally.best_score, self.tally.best_epoch = score, self.tally.epoch + 1
                self.best = {name: tensor.clone() for name, tensor in self.outcome.state_dict().items()}
        tally = self.tally
        accuracy, auc = self.shown.close()
        tally.curves.append(
            EpochCurve(
                fit=self.plan.number,
                epoch=tally.epoch + 1,
                loss=tally.loss_sum / tally.weight_sum,
                learning_rate=self.rate,
                inner_score=score,
                seconds=tally.seconds,
                images_per_second=self.images_per_second,
                accuracy=accuracy,
                auc=auc,
                **inner,
            )
        )
        tally.epoch, tally.step = tally.epoch + 1, 0
        tally.loss_sum = tally.weight_sum = tally.seconds = 0.0
        tally.images = 0
        self._mark = time.perf_counter()

    def figures(self) -> dict[str, float]:
        """What a listener may show after a step."""
        figures: dict[str, float | None] = {
            "epoch": self.tally.epoch + 1,
            "loss": self.loss,
            "learning_rate": self.rate,
            "images_per_second": self.images_per_second,
            "inner_score": self.tally.curves[-1].inner_score if self.tally.curves else None,
        }
        return {name: value for name, value in figures.items() if value is not None}

    def _inner_score(self, tell: Callable[[], None]) -> tuple[float, dict[str, float]]:
        """The recipe's score of the inner rows, by `target` whatever the labels of the fit are, and their curve."""
        rows = self.inner_rows
        assert rows is not None
        probability = predict_on(
            self.outcome,
            self.recipe,
            self.lesions,
            rows,
            self.setup,
            resident=self.vectors,
            progress=lambda done, total, **figures: tell(),
        )
        target = self.lesions.target[rows]
        score = inner_score(checked_score(self.recipe, self.lesions.classes), target, probability)
        return score, progress_scores(target, probability)
