"""What a fold's training must remember to go on where it was: taken out of a fit, put back into one, kept in a file.

The file itself is `state.py`'s. A state may be taken up on another device, or by another number of processes, than it
was saved on.
"""

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from image_models.networks.fitting import require_fit
from image_models.training.distributed import Ranks
from image_models.training.fit import Fit, Tally
from image_models.training.report import EpochCurve
from image_models.training.state import load_state, taken_from, under

POSITION = {"fit": int, "state": dict, "steps": int, "curves": list, "device": str, "precision": str}
"""What every saved position says."""


class ForeignStateError(Exception):
    """A state that vouches for itself and yet is none of this fit."""


@contextmanager
def refusing_the_foreign() -> Iterator[None]:
    """Whatever taking up a forged state raises, as ForeignStateError."""
    try:
        yield
    except (RuntimeError, LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ForeignStateError(f"{type(error).__name__}: {str(error).partition(chr(10))[0][:100]}") from error


def require_numbers(values: Mapping[str, Any], but: str) -> None:
    """ValueError unless all values are finite numbers, or None; one key is not looked at."""
    for key, value in values.items():
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if key != but and value is not None and not number:
            raise ValueError(f"{key} is no number")


@dataclass
class Sitting:
    """What earlier sittings of a fold's training left behind; empty at the very start."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    position: dict[str, Any] = field(default_factory=dict)

    @property
    def begun(self) -> bool:
        """Whether there was an earlier sitting."""
        return bool(self.position)

    @property
    def model(self) -> dict[str, Tensor]:
        """Weights of the network."""
        return taken_from("model", self.tensors)

    @property
    def curves(self) -> list[EpochCurve]:
        """Epochs of the fits that are over."""
        return [EpochCurve(**curve) for curve in self.position.get("curves", [])]

    def continue_fit(self, fit: Fit) -> None:
        """Bring a fit to where it was, if it is the one that was interrupted; the tensors are then let go of."""
        if self.position.get("fit") == fit.plan.number:
            with refusing_the_foreign():
                restore(fit, self.tensors, self.position["state"])
            self.tensors = {}


def earlier_sitting(path: Path, key: dict[str, Any], ranks: Ranks, *, keep_threads: bool = False) -> Sitting:
    """What the leading process finds in the state file, in every process; its threads are taken up if they are kept."""
    saved = ranks.agreed_state(load_state(path, key) if ranks.leads else None)
    sitting = Sitting() if saved is None else Sitting(*saved)
    with refusing_the_foreign():
        if saved is not None and not all(isinstance(sitting.position[key], kind) for key, kind in POSITION.items()):
            raise TypeError("its position is of another kind")
        require_numbers({key: sitting.position.get(key) for key in ("seconds", "threads")}, but="")
        for curve in sitting.curves:
            require_numbers(asdict(curve), but="")
    threads = sitting.position.get("threads")
    if keep_threads and ranks.count == 1 and threads and threads <= (os.cpu_count() or 1):
        torch.set_num_threads(threads)
    return sitting


def tensors_of(fit: Fit) -> dict[str, Tensor]:
    """Every tensor of a fit's state, by name."""
    average = fit.average.model.state_dict() if fit.average is not None else {}
    return {
        **under("model", fit.model.state_dict()),
        **under("average", average),
        **under("best", fit.best),
        **under("optimiser", fit.optimiser.tensors()),
        **under("shown", fit.shown.tensors()),
    }


def position_of(fit: Fit) -> dict[str, Any]:
    """Everything else of a fit's state, as JSON-like values."""
    return {
        "moments": len(fit.optimiser.tensors()),
        "tally": asdict(fit.tally),
        "rate": fit.rate,
        "averaged_updates": fit.average.updates if fit.average is not None else 0,
        "scaler": fit.optimiser.scaler.state_dict(),
    }


def fill(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a network its weights; ValueError unless they are all there, and no others."""
    require_fit(model.state_dict(), tensors, "weights")
    model.load_state_dict(tensors)


def restore(fit: Fit, tensors: dict[str, Tensor], position: dict[str, Any]) -> None:
    """Give a fit the state that `tensors_of` and `position_of` took from another."""
    own, best = fit.model.state_dict(), taken_from("best", tensors)
    fill(fit.model, taken_from("model", tensors))
    if fit.average is not None:
        fill(fit.average.model, taken_from("average", tensors))
        fit.average.updates = position["averaged_updates"]
    if best:
        require_fit(own, best, "the best weights")
    fit.best = {name: tensor.to(fit.device) for name, tensor in best.items()}
    moments = taken_from("optimiser", tensors)
    if position.get("moments", len(moments)) != len(moments):  # states of before this was written have no count
        raise ValueError("the optimiser's moments are not all there")
    fit.optimiser.restore(moments)
    fit.shown.restore(taken_from("shown", tensors))
    # A sitting in another number format scaled no gradients and has nothing to say of it.
    if position["scaler"]:
        fit.optimiser.scaler.load_state_dict(position["scaler"])
    tally = position["tally"]
    require_numbers(tally, but="curves")
    if {*tally} != {*asdict(fit.tally)}:
        raise ValueError("its tally is not whole")
    if not (0 <= tally["epoch"] <= fit.plan.epochs and 0 <= tally["step"] <= fit.plan.sampler.steps_per_epoch):
        raise ValueError("it is further than the fit goes")
    fit.tally = Tally(**{**tally, "curves": [EpochCurve(**curve) for curve in tally["curves"]]})
    fit.rate = position["rate"]
