"""The out-of-fold table: every image model's columns, each lesion once, and their scores."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from data.predictions import assemble, mean_of
from pipeline.columns import named, stacked, write_table
from pipeline.execute.replicates import drawn_scores
from pipeline.inputs import Inputs
from pipeline.run import Run
from pipeline.runtime import Runtime
from pipeline.scoring import score_columns, shown
from pipeline.stage_two import PREDICTIONS
from pipeline.step import Need, Step, Work
from pipeline.steps.fold_model import fold_model_of, predictions_of

FILE, TEST_FILE = "oof.parquet", "test.parquet"


@dataclass(frozen=True)
class JoinImageModels(Work):
    """Join what the fold models said."""

    verb: ClassVar[str] = "oof"
    stage: ClassVar[str] = "joining stage one"
    batch: ClassVar[str] = "joining stage one"
    here: ClassVar[bool] = True
    for_prediction: ClassVar[bool] = False

    models: tuple[Step, ...]
    on_test: tuple[Step, ...]
    seed: int

    def do(self, step: Step, inputs: Inputs, runtime: Runtime) -> None:
        """Write oof.parquet (each lesion once) and test.parquet (mean of the fold models); score the columns."""
        folds, train, test = inputs.folds, inputs.data.train, inputs.data.test
        names = list(dict.fromkeys(fold_model_of(model).model.name for model in self.models))
        attempt = step.begin()
        columns: dict[str, npt.NDArray[np.float64]] = {}
        of_test: dict[str, npt.NDArray[np.float64]] = {}
        for name in names:
            parts = [predictions_of(model, inputs) for model in self.models if model.key[0] == name]
            columns |= named(name, assemble(parts, train.ids, folds))
            said = [predictions_of(one, inputs) for one in self.on_test if one.key[0] == name]
            of_test |= named(name, mean_of(said)) if said else {}
        write_table(step.folder / FILE, train.ids, folds.fold, columns)
        artefacts = [FILE]
        if of_test:
            assert test is not None
            write_table(step.folder / TEST_FILE, test.ids, None, of_test)
            artefacts.append(TEST_FILE)
        drawn = drawn_scores(inputs, runtime, step.folder / FILE, names)
        whole = {name: stacked(columns, name) for name in names}
        scores = score_columns(train, whole, seed=self.seed, drawn=drawn)
        attempt.finish(artefacts, scores=scores)
        for name, figures in scores.items():
            runtime.display.say(f"out of fold, {name}: {train.task.score} {shown(figures, train.task.score)}")


def oof_table_step(run: Run, models: tuple[Step, ...], on_test: tuple[Step, ...]) -> Step:
    """The joining of the columns and everything it depends on."""
    needs = [Need(fold_model_of(model).title, step=model, artefacts=(PREDICTIONS,)) for model in models]
    needs += [
        Need(f"{fold_model_of(model).title}, test", step=said, artefacts=(PREDICTIONS,))
        for model, said in zip(models, on_test, strict=bool(on_test))
    ]
    return Step(
        kind="out-of-fold table",
        key=(),
        name="out-of-fold table",
        folder=run.folder / "oof",
        work=JoinImageModels(models, on_test, run.recipe.seed),
        settings={"models": [model.name for model in run.recipe.image_models]},
        needs=tuple(needs),
    )
