"""Stage two on lesions without an answer: every fold's encoder and boosters, then the blend."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.files import read_json
from data.progress import Progress
from features.encode import Encoder
from features.table import FeatureTable
from pipeline.step import Step
from pipeline.steps.booster import booster_of
from tabular.blend import BlendState
from tabular.crossfit import predict_member

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class StageTwo:
    """The steps whose files predict: encoders by fold, boosters, the blend."""

    encoders: tuple[Step, ...]
    boosters: tuple[Step, ...]
    blend: Step

    @property
    def folds(self) -> int:
        """How many there are."""
        return len(self.encoders)

    def encoder(self, fold: int) -> Encoder:
        """What was fitted on a fold's training part."""
        return Encoder.from_json(stored(self.encoders[fold].folder / "encoder.json"))

    def blend_state(self) -> BlendState:
        """The blend as new lesions get it."""
        return BlendState.from_json(stored(self.blend.folder / "blend.json"))

    def of_fold(self, fold: int) -> Iterable[Step]:
        """Its boosters."""
        return (step for step in self.boosters if step.key[1] == fold)

    def predict(self, table: FeatureTable, threads: int, progress: Progress) -> dict[str, Floats]:
        """Mean over folds and seeds of every member, and their blend, in the order of the table."""
        everyone = np.arange(table.frame.height)
        sums: dict[str, Floats] = {}
        for fold in range(self.folds):
            matrix = self.encoder(fold).transform(table)
            for step in self.of_fold(fold):
                member = booster_of(step).member
                probability = predict_member(member, step.folder, matrix, everyone, threads=threads)
                share = probability / (self.folds * len(member.seeds))
                sums[member.name] = sums.get(member.name, 0.0) + share
            progress(fold + 1, self.folds)
        return {**sums, "blend": self.blend_state().apply(sums)}


def stored(path: Path) -> Any:
    """What a stage kept as JSON."""
    try:
        return read_json(path)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is missing or damaged ({error}); run `fusionnetx tabular` with its recipe") from error
