"""What a learner is: one object per file of this folder, the only place that knows it.

A learner says what a recipe may ask of it and turns arrays into a `Model`. Two steps, because tuning trains hundreds of
times on the same rows: `bin` brings the rows into the library's own form, `fit` trains on that. What only some learners
have is left out by the others: data that trials share, early stopping, trees, importance, contributions. The library is
imported inside the functions that use it, so that reading a recipe loads none. Which rows to train on is for
`tabular.resample`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from data.tables.near import did_you_mean
from tabular.learners.search_space import SearchSpace, Value, require_within

Floats = npt.NDArray[np.float64]
Values = npt.NDArray[np.float32]
Device = Literal["cpu", "gpu", "auto"]

DECIDED_ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("n_estimators", "num_iterations", "num_boost_round", "num_trees", "iterations"), "iterations"),
        **dict.fromkeys(("seed", "random_seed", "random_state"), "seeds"),
        **dict.fromkeys(("device", "device_type", "task_type", "tree_method"), "device"),
        **dict.fromkeys(("early_stopping_round", "early_stopping_rounds", "od_wait"), "early_stopping"),
        **dict.fromkeys(("class_weights", "auto_class_weights", "is_unbalance"), "tabular.resample.method"),
    }
)
"""What no learner is told as a parameter, and the key of the recipe that says it."""


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
    """What a learner needs to know besides the rows."""

    parameters: Mapping[str, Value]
    iterations: int
    classes: int = 2
    device: Device = "cpu"
    """`cpu` or `gpu`; `usable_device` settles `auto`."""
    threads: int = 1
    seed: int = 42


class Model(ABC):
    """A fitted model."""

    trees: int | None = None
    """Boosting rounds (fewer than asked for after early stopping); None where there are none."""

    @abstractmethod
    def predict(self, values: Values, threads: int = 1) -> Floats:
        """Probability of the positive class, or one column per class."""

    @abstractmethod
    def save(self, path: Path) -> None:
        """Write the model without pickle; the same training writes the same bytes."""

    def importance(self) -> Floats | None:
        """Share of each column in the model, summing to one (all zero when no split was made); None: it keeps none."""
        return None

    def contributions(self, values: Values, threads: int = 1) -> Floats | None:
        """What each column adds to the margin of each row, and last what the model says of every row.

        The sum over columns is the margin: the log-odds of the positive class (rows, columns + 1), or with several
        classes the logits before the softmax (rows, classes, columns + 1). None where the learner does not explain.
        """
        return None


@dataclass(frozen=True)
class Defaults:
    """What a member starts from when its recipe is silent."""

    iterations: int
    """Rounds of boosting, or steps of a solver at most."""
    device: Device
    parameters: Mapping[str, Value]


def as_they_are(rows: Rows, settings: Settings) -> Any:
    """The rows themselves, for a learner that has no form of its own for them."""
    return rows


def nothing(parameters: Mapping[str, Value]) -> list[str]:
    """No parameter of which anything is to be said."""
    return []


@dataclass(frozen=True)
class Learner:
    """Everything the house knows of one learner."""

    name: str
    suffix: str
    """Of its model files."""
    defaults: Defaults
    """What a member starts from: for the boosters of the FusionNetX paper the public set that its Table 2 rounds."""
    known: frozenset[str]
    """Parameters a recipe may give."""
    search_space: Mapping[str, SearchSpace]
    """What tuning searches unless the recipe says otherwise; may hold `iterations`."""
    cost: float
    """Time of a fit on the CPU beside the other learners'; the slowest start first, or they would end alone."""
    fit: Callable[[Any, Settings], Model]
    """Train on what `bin` made."""
    load: Callable[[Path, int, int], Model]
    """Read a model of so many columns and classes; a truncated, foreign or forged file is a DataError."""
    table_two: Mapping[str, Value] | None = None
    """Parameters as Table 2 of the paper prints them; None: the paper has no such learner."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Other spellings of parameters, turned into one, so that nothing is set twice."""
    without_effect: Callable[[Mapping[str, Value]], list[str]] = nothing
    """Parameters that the library takes and then ignores, each in one sentence for the report."""
    gpu: Literal["cuda", "opencl"] | None = None
    """What it can train on besides the CPU; `auto` looks for CUDA alone."""
    explains: bool = False
    """Whether its models have `contributions`."""
    binning: frozenset[str] = frozenset()
    """Parameters that change what `bin` makes; data binned once serve every setting of the others."""
    bin: Callable[[Rows, Settings], Any] = as_they_are
    """The library's form of the rows; the arrays are no longer needed afterwards."""
    bin_watched: Callable[[Rows, Settings, Any], Any] | None = None
    """Rows to watch for early stopping, in the bins of the training data."""
    fit_watched: Callable[[Any, Settings, Any, int], Model] | None = None
    """Train, and stop after so many rounds without a better score on the watched rows."""

    def start(self, name: str) -> Mapping[str, Value]:
        """Parameters that a member takes where its recipe is silent, by the name of the start."""
        if name == "library":
            return {}
        return self.defaults.parameters if name == "published" or self.table_two is None else self.table_two

    @property
    def stops_early(self) -> bool:
        """Whether it trains in rounds that can be watched."""
        return self.fit_watched is not None

    def binned(self, rows: Rows, watched: Rows | None, settings: Settings) -> tuple[Any, Any]:
        """Training rows and, with early stopping, watched ones as the learner takes them."""
        training = self.bin(rows, settings)
        if watched is None or self.bin_watched is None:
            return training, None
        return training, self.bin_watched(watched, settings, training)

    def trained(self, binned: tuple[Any, Any], settings: Settings, patience: int) -> Model:
        """Train on what `binned` made."""
        training, watched = binned
        if watched is None or self.fit_watched is None:
            return self.fit(training, settings)
        return self.fit_watched(training, settings, watched, patience)

    def canonical(self, parameter: str) -> str:
        """The one spelling of a parameter; a ValueError names the nearest known one."""
        if parameter in DECIDED_ELSEWHERE:
            key = DECIDED_ELSEWHERE[parameter]
            raise ValueError(f"{parameter} is set by the key {key!r}, not among the parameters")
        spelling = self.aliases.get(parameter, parameter)
        if spelling not in self.known:
            hint = did_you_mean(parameter, [*self.known, *self.aliases], 0.5)
            raise ValueError(f"{self.name} has no parameter {parameter!r} that a recipe may set{hint}")
        return spelling

    def canonical_parameters(self, given: Mapping[str, Value]) -> dict[str, Value]:
        """All parameters under their one spelling; giving the same one twice is refused."""
        result: dict[str, Value] = {}
        for name, value in given.items():
            spelling = self.canonical(name)
            if spelling in result:
                raise ValueError(f"{name} and {spelling} are two spellings of one {self.name} parameter; keep one")
            require_within(spelling, value)
            result[spelling] = value
        return result
