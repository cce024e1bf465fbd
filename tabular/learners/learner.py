"""One small protocol for three booster libraries, and the choice among them by name.

An adapter turns arrays into its library's binned data (`bin`), trains on that (`fit`), and keeps models in the
library's own format. Binning is a step of its own because tuning trains on the same binned data hundreds of times.
Which rows to train on is for `training_data`.
"""

import ctypes
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from data.errors import TrainingError
from tabular.learners.parameters import BoosterName, Device, Value

Floats = npt.NDArray[np.float64]
Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Rows:
    """Rows to train on or to watch."""

    values: Values
    """(rows, features), NaN is missing; a categorical column holds whole codes."""
    target: npt.NDArray[np.int64]
    names: tuple[str, ...]
    categorical: tuple[int, ...] = ()
    weight: Floats | None = None


@dataclass(frozen=True)
class Settings:
    """What an adapter needs to know besides the rows."""

    parameters: Mapping[str, Value]
    iterations: int
    classes: int = 2
    device: Device = "cpu"
    """`cpu` or `gpu`; `usable_device` settles `auto`."""
    threads: int = 1
    seed: int = 42


class Booster(Protocol):
    """A booster of one library."""

    suffix: ClassVar[str]
    """Of the library's own model format."""
    binning: ClassVar[frozenset[str]]
    """Parameters that change the binned data; data binned once serves every setting of the others."""
    trees: int
    """Boosting rounds in the fitted model (fewer than asked for after early stopping)."""

    @classmethod
    def bin(cls, rows: Rows, settings: Settings) -> Any:
        """The library's binned data; the arrays are no longer needed afterwards."""

    @classmethod
    def bin_watched(cls, rows: Rows, settings: Settings, training: Any) -> Any:
        """Rows to watch for early stopping, in the bins of the training data."""

    @classmethod
    def fit(cls, training: Any, settings: Settings, watched: Any = None, patience: int = 0) -> Self:
        """Train on binned data; with `watched`, stop after `patience` rounds without a better score there."""

    def predict(self, values: Values, threads: int = 1) -> Floats:
        """Probability of the positive class, or one column per class."""

    def importance(self) -> Floats:
        """Share of each column in the model, summing to one (all zero when no split was made)."""

    def contributions(self, values: Values, threads: int = 1) -> Floats:
        """Tree SHAP: what each column adds to the margin of each row, and last what the model says of every row.

        The sum over columns is the margin: the log-odds of the positive class (rows, columns + 1), or with several
        classes the logits before the softmax (rows, classes, columns + 1).
        """

    def save(self, path: Path) -> None:
        """Write the model in the library's own format; the same training writes the same bytes."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a model; a truncated or foreign file is a DataError."""


def adapter(booster: BoosterName) -> type[Booster]:
    """The adapter of a library; only that library is imported."""
    if booster == "lightgbm":
        from tabular.learners.lightgbm import LightGBMBooster

        return LightGBMBooster
    if booster == "xgboost":
        from tabular.learners.xgboost import XGBoostBooster

        return XGBoostBooster
    from tabular.learners.catboost import CatBoostBooster

    return CatBoostBooster


def usable_device(booster: BoosterName, wanted: Device) -> tuple[Device, str | None]:
    """Settle `auto`, with a sentence for the report when it had to give way; refuse `gpu` where there is none."""
    if wanted == "cpu":
        return "cpu", None
    if wanted == "auto":
        if booster == "lightgbm":
            return "cpu", None  # Its published packages need OpenCL and gain nothing at these sizes.
        return ("gpu", None) if cuda_gpus() else ("cpu", f"no CUDA GPU was found, so {booster} trained on the CPU")
    if booster != "lightgbm" and not cuda_gpus():
        raise TrainingError(f"{booster} is to train on a GPU, but no CUDA GPU was found; set device = 'auto' or 'cpu'")
    return "gpu", None


@cache
def cuda_gpus() -> int:
    """Number of CUDA devices, asked of the driver because this package does not need torch."""
    with suppress(OSError, AttributeError):
        driver = ctypes.CDLL("libcuda.so.1")
        count = ctypes.c_int(0)
        if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0:
            return count.value
    return 0


def shares(gain: npt.ArrayLike) -> Floats:
    """Gains scaled to sum to one; all zero stays zero."""
    gains = np.asarray(gain, dtype=np.float64)
    total = gains.sum()
    return gains / total if total > 0 else np.zeros_like(gains)


def refusal(library: str, error: Exception) -> TrainingError:
    """A library's own complaint as one message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return TrainingError(f"{library} refused to train: {lines[0] if lines else error!r}; check the member's parameters")


def plain_names(names: Sequence[str]) -> list[str]:
    """Names that every model format can hold (LightGBM splits at spaces; XGBoost refuses brackets), still distinct."""
    plain = [re.sub(r"[^0-9A-Za-z_.%/+*^-]", "_", name) for name in names]
    return [f"{name}_{i}" if plain.count(name) > 1 else name for i, name in enumerate(plain)]
