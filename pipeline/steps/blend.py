"""The blend: one probability per lesion from those of all members."""

from dataclasses import dataclass
from typing import ClassVar

from data.files import write_json
from pipeline.columns import flat, write_table
from pipeline.execute.replicates import drawn_scores
from pipeline.inputs import Inputs
from pipeline.run import Run
from pipeline.runtime import Runtime
from pipeline.scoring import score_columns, shown
from pipeline.stage_two import PREDICTIONS
from pipeline.step import Need, Step, Work
from pipeline.steps.booster import member_columns
from tabular.blend import blend
from tabular.recipe import BlendRecipe

FILE, STATE_FILE = "oof.parquet", "blend.json"


@dataclass(frozen=True)
class BlendMembers(Work):
    """Join the members."""

    verb: ClassVar[str] = "tabular"
    stage: ClassVar[str] = "blend"
    batch: ClassVar[str] = "blend"
    here: ClassVar[bool] = True

    recipe: BlendRecipe
    members: tuple[Step, ...]
    seed: int

    def do(self, step: Step, inputs: Inputs, runtime: Runtime) -> None:
        """Write tabular/oof.parquet with every member's column and the blend, and score them."""
        train, folds = inputs.data.train, inputs.folds
        attempt = step.begin()
        columns = member_columns(self.members, inputs)
        blended = blend(columns, self.recipe, target=train.target, folds=folds.fold, groups=train.groups)
        columns["blend"] = blended.out_of_fold
        write_json(step.folder / STATE_FILE, blended.to_json())
        write_table(step.folder / FILE, train.ids, folds.fold, flat(columns, train.task.probability_columns))
        with runtime.display.task("intervals over patients"):
            drawn = drawn_scores(inputs, runtime, step.folder / FILE, columns)
            scores = score_columns(train, columns, seed=self.seed, drawn=drawn)
        attempt.finish([FILE, STATE_FILE], scores=scores)
        for name, figures in scores.items():
            runtime.display.say(f"cross-validated, {name}: {train.task.score} {shown(figures, train.task.score)}")


def blend_step(run: Run, members: tuple[Step, ...], waits_for: Step | None) -> Step:
    """The blending of the members and everything it depends on."""
    tabular = run.recipe.tabular
    return Step(
        kind="blend",
        key=(),
        name="blend",
        folder=run.folder / "tabular",
        work=BlendMembers(tabular.blend, members, run.recipe.seed),
        settings={"blend": tabular.blend.model_dump(mode="json"), "members": [m.name for m in tabular.members]},
        needs=tuple(Need(step.name, step=step, artefacts=(PREDICTIONS,)) for step in members),
        waits_for=waits_for,
    )
