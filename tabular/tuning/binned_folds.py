"""A fold made ready for many trials: training rows resampled and binned once, held-out rows gathered once.

`tune` and the re-estimate train on these. The rows are those that cross-fitting would draw with the same seed.
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.matrix import Matrix
from data.scores.scores import pauc
from tabular.learners.adapting import usable_device
from tabular.learners.learner import Rows, Settings, Values
from tabular.learners.search_space import Value
from tabular.recipe import MemberRecipe, TabularRecipe
from tabular.training_data import Ints, derived, effective_parameters, gather_part, take, training_parts, view_of

KEPT_BINNINGS = 2
"""Binned data sets kept per model when the search space itself changes the bins."""
BLOCKS, POSITIVES_PER_BLOCK = 4, 15
"""At most so many blocks in a fold, of at least so many positives: with fewer, a block's pAUC turns on two or three."""


@dataclass(frozen=True)
class FoldData:
    """A fold as its encoders left it; only needed until it is binned."""

    train: Matrix
    train_target: npt.NDArray[np.int64]
    train_groups: npt.NDArray[Any]
    held_out: Matrix
    held_out_target: npt.NDArray[np.int64]


@dataclass(frozen=True)
class FoldScore:
    """What a fold says of a setting."""

    whole: float
    """PAUC on the held-out rows."""
    blocks: tuple[float, ...]
    """The same on each block of them."""


@dataclass
class _Model:
    """The data of one model (one bag)."""

    bag: int
    rows: tuple[Rows, Rows | None] | None
    """Training and watched rows, kept only while another binning may be asked for."""
    binned: dict[tuple[Any, ...], tuple[Any, Any]]


class BinnedFold:
    """Scores settings of one member on one fold."""

    def __init__(
        self,
        member: MemberRecipe,
        recipe: TabularRecipe,
        fold: FoldData,
        *,
        seed: int,
        threads: int,
        searched: Iterable[str] = (),
    ) -> None:
        """Resample and bin; `searched` names the parameters that will change."""
        if set(np.unique(fold.held_out_target)) != {0, 1}:
            raise DataError(
                "tuning scores every fold by pAUC, which takes benign and malignant lesions in each; use folds with "
                "positives in all of them"
            )
        self._recipe = recipe
        self._seed = seed
        self._threads = threads
        self._learner = member.learner
        self._device, _ = usable_device(self._learner, member.device or "cpu")
        self._patience = member.early_stopping
        rebins = bool(self._learner.binning & set(searched))
        # Parallel trials meet here, and the libraries do not promise that one data set serves two trainings at once.
        self._lock = threading.Lock()
        target = np.asarray(fold.train_target, dtype=np.int64)
        view = view_of(member, fold.train)
        everyone = np.arange(len(target))
        parts, self.notes = training_parts(member, recipe, target, fold.train_groups, everyone, derived(seed, 0))
        self._models = []
        for part in parts:
            settings = self._settings(member, part.bag)
            noise_seed = derived(seed, 2, part.bag)
            rows = gather_part(view, fold.train, target, part, recipe, settings, noise_seed)
            model = _Model(part.bag, rows if rebins else None, {})
            self._binned(model, settings, rows)
            self._models.append(model)
        self._held_out: Values = take(fold.held_out.values, np.arange(len(fold.held_out.values)), view.columns)
        self._held_out_target = np.asarray(fold.held_out_target)
        self._block = blocks_of(self._held_out_target)

    def score(self, member: MemberRecipe) -> float:
        """PAUC on the held-out rows of a member that differs in parameters and iterations alone."""
        return self.scored(member).whole

    def scored(self, member: MemberRecipe) -> FoldScore:
        """The same, and on each block of the held-out rows."""
        with self._lock:
            total = np.zeros(len(self._held_out_target))
            for data in self._models:
                settings = self._settings(member, data.bag)
                fitted = self._learner.trained(self._binned(data, settings, data.rows), settings, self._patience)
                total += fitted.predict(self._held_out, self._threads)
        target, block, probability = self._held_out_target, self._block, total / len(self._models)
        blocks = (pauc(target[block == k], probability[block == k]) for k in range(block.max() + 1))
        return FoldScore(pauc(target, probability), tuple(blocks))

    def _settings(self, member: MemberRecipe, bag: int) -> Settings:
        parameters, _ = effective_parameters(member, self._recipe, 2)
        return Settings(parameters, member.iterations, 2, self._device, self._threads, derived(self._seed, 1, bag))

    def _binned(self, model: _Model, settings: Settings, rows: tuple[Rows, Rows | None] | None) -> tuple[Any, Any]:
        key = self._binning(settings.parameters)
        if key not in model.binned:
            assert rows is not None
            while len(model.binned) >= KEPT_BINNINGS:
                del model.binned[next(iter(model.binned))]
            model.binned[key] = self._learner.binned(*rows, settings)
        return model.binned[key]

    def _binning(self, parameters: Mapping[str, Value]) -> tuple[Any, ...]:
        return tuple((name, parameters.get(name)) for name in sorted(self._learner.binning))


def blocks_of(target: npt.NDArray[Any]) -> Ints:
    """Number of each row's block: positives and negatives are cut into as many runs, in the order of the table.

    Two settings are told apart by pairs of block scores after fewer folds than by pairs of fold scores.
    """
    count = int(np.clip(np.count_nonzero(target) // POSITIVES_PER_BLOCK, 1, BLOCKS))
    block = np.empty(len(target), dtype=np.int64)
    for label in (0, 1):
        rows = np.flatnonzero(target == label)
        block[rows] = np.arange(len(rows)) * count // len(rows)
    return block
