"""The encoder of a fold: what turns features into numbers, fitted on the training part and kept for new patients."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, ClassVar

from data.files import write_json
from pipeline.execute.running import boosters_at_once
from pipeline.facts import InputFacts
from pipeline.inputs import Inputs
from pipeline.run import Run
from pipeline.runtime import Runtime
from pipeline.stage_two import ImageColumns, shared_fold
from pipeline.step import Need, Resources, Step, Work

FILE = "encoder.json"


@dataclass(frozen=True)
class FitEncoder(Work):
    """Fit and keep it."""

    verb: ClassVar[str] = "tabular"
    stage: ClassVar[str] = "encoders"
    batch: ClassVar[str] = "stage two: boosters"

    fold: int
    images: ImageColumns

    @property
    def turn(self) -> tuple[Any, ...]:
        """Fold by fold, so that a process has few folds' matrices in memory; before the fold's boosters."""
        return (self.fold, -inf)

    def resources(self, inputs: Inputs, runtime: Runtime) -> Resources:
        """As a booster."""
        return Resources(inputs.run.recipe.resources.booster_threads)

    @classmethod
    def at_once(cls, steps: Sequence[Step], inputs: Inputs, runtime: Runtime) -> int:
        """As boosters, which are done beside them."""
        return boosters_at_once(inputs.run.recipe, runtime)

    def do(self, step: Step, inputs: Inputs, runtime: Runtime) -> None:
        """Keep what was fitted on a fold's training part."""
        attempt = step.begin()
        encoder, train_matrix, _ = shared_fold(inputs, runtime, self.images, self.fold)
        write_json(step.folder / FILE, encoder.to_json())
        attempt.finish([FILE], columns=len(train_matrix.names))


def encoder_step(run: Run, facts: InputFacts, folds: Step, images: ImageColumns, fold: int) -> Step:
    """The fitting of one fold's encoder and everything its result depends on."""
    recipe = run.recipe
    return Step(
        kind="encoder",
        key=(fold,),
        name=f"encoder of fold {fold}",
        folder=encoder_path(run.folder, fold).parent,
        work=FitEncoder(fold, images),
        settings={
            "features": recipe.features.model_dump(mode="json"),
            "nested": recipe.tabular.nested,
            "run_seed": recipe.seed,
        },
        needs=(
            Need("train table", facts.train_table),
            Need("folds", step=folds, artefacts=("folds.parquet",)),
            *images.needs,
        ),
    )


def encoder_path(run_dir: Path, fold: int) -> Path:
    """Where the encoder of one fold is stored."""
    return run_dir / "features" / f"fold_{fold}" / FILE
