"""Folds: who is held out together. Written once, then obeyed by every later step."""

from dataclasses import dataclass
from typing import ClassVar

from data.folds import FoldRecipe, make_folds
from pipeline.facts import InputFacts
from pipeline.inputs import Inputs
from pipeline.run import Run
from pipeline.runtime import Runtime
from pipeline.step import Need, Step, Work

FILE = "folds.parquet"


@dataclass(frozen=True)
class MakeFolds(Work):
    """Divide the patients, or take the division of a file."""

    verb: ClassVar[str] = "oof"
    stage: ClassVar[str] = "folds"
    batch: ClassVar[str] = "folds"
    here: ClassVar[bool] = True
    for_prediction: ClassVar[bool] = False

    recipe: FoldRecipe

    def do(self, step: Step, inputs: Inputs, runtime: Runtime) -> None:
        """Make and write them."""
        reason = step.stale_reason()
        if step.report_path.exists():
            runtime.display.say(f"folds: {reason}; made anew, so every later step runs again")
        attempt = step.begin()
        folds = make_folds(inputs.data.train, self.recipe)
        folds.write(step.folder / FILE)
        attempt.finish([FILE], folds=folds.summary().to_dicts(), method=folds.method)
        inputs.forget_folds()
        noun = inputs.data.train.task.group_noun
        how = f"{noun}s whole" if self.recipe.by else f"stratified ({folds.method})"
        runtime.display.say(f"folds: {folds.count} by {self.recipe.by or noun}, {how}")


def folds_step(run: Run, facts: InputFacts) -> Step:
    """The making of the folds and everything it depends on."""
    needs = [Need("train table", facts.train_table)]
    if run.recipe.folds.file is not None:
        needs.append(Need("fold file", facts.fold_file or ""))
    return Step(
        kind="folds",
        key=(),
        name="folds",
        folder=run.folder,
        work=MakeFolds(run.recipe.folds),
        settings=run.recipe.folds.deciding,
        needs=tuple(needs),
        report_name="folds.json",
    )
