"""The blend: one probability per lesion from those of all members."""

from collections.abc import Mapping
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
from pipeline.steps.booster import Floats, booster_of, member_columns
from tabular.blend import blend
from tabular.recipe import BlendRecipe
from tabular.weak_members import Answers, Weakness, weak_members

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
        with runtime.display.task(f"intervals over {train.task.words['groups']}"):
            drawn = drawn_scores(inputs, runtime, step.folder / FILE, columns)
            scores = score_columns(train, columns, seed=self.seed, drawn=drawn)
            weak = self.weak_members(inputs, columns)
        attempt.finish([FILE, STATE_FILE], scores=scores, weak_members=[one.as_dict() for one in weak])
        if inputs.run.recipe.tabular.optimistic:
            runtime.display.warn(f"the scores of this run are {inputs.run.recipe.tabular.optimistic}")
        for name, figures in scores.items():
            runtime.display.say(f"cross-validated, {name}: {train.task.score} {shown(figures, train.task.score)}")
        for one in weak:
            runtime.display.warn(one.sentence(train.task.score, train.task.words["groups"]))

    def weak_members(self, inputs: Inputs, columns: Mapping[str, Floats]) -> list[Weakness]:
        """Members below all their peers, and those that the blend would be better without."""
        train = inputs.data.train
        recipes = {step.key[0]: booster_of(step).member for step in self.members}
        members = {name: column for name, column in columns.items() if name != "blend"}
        answers = Answers(train.target, inputs.folds.fold, train.groups, train.task.score)
        return weak_members(members, columns["blend"], self.recipe, tuple(recipes.values()), answers, self.seed)


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
