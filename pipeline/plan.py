"""The floor plan: every step of a run, in the order of work. Everything else iterates over it.

Running, skipping, checking, comparing, bundling, taking over work for a variant, the account of seconds, the moments at
which the kill harness strikes and the files that a cluster's workers fetch all follow from here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from data.errors import DataError
from data.folds import Folds, make_folds
from pipeline.facts import InputFacts, finished_fold_count
from pipeline.inputs import Inputs
from pipeline.predicting import StageTwo
from pipeline.recipe import Recipe
from pipeline.run import Run
from pipeline.stage_two import ImageColumns
from pipeline.step import Key, Step
from pipeline.steps.blend import blend_step
from pipeline.steps.booster import booster_step
from pipeline.steps.calibration import calibration_step
from pipeline.steps.encoder import encoder_step
from pipeline.steps.fold_model import fold_model_step
from pipeline.steps.folds import folds_step
from pipeline.steps.on_test_lesions import test_lesions_step
from pipeline.steps.oof_table import oof_table_step
from pipeline.steps.submission import submission_step
from pipeline.steps.tuning import found_parameters, tuning_steps
from tabular.recipe import MemberRecipe

VERBS = ("oof", "tabular", "submission")
"""Each does the work of those before it, too."""


@dataclass(frozen=True)
class Plan:
    """The steps of one run."""

    run: Run
    steps: tuple[Step, ...]
    images: ImageColumns
    """Where stage two's image columns come from."""
    members: tuple[MemberRecipe, ...]
    """As they are fitted: with the parameters that were found for each fold, where a search was made."""

    @cached_property
    def _by_key(self) -> dict[tuple[str, Key], Step]:
        return {(step.kind, step.key): step for step in self.steps}

    def __getitem__(self, address: tuple[str | int, ...]) -> Step:
        """`plan["fold model", "vit_tiny", 3]`."""
        kind, *key = address
        try:
            return self._by_key[str(kind), tuple(key)]
        except KeyError:
            raise DataError(f"run {self.run.folder} has no step {' '.join(map(str, address))}") from None

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def of(self, kind: str) -> tuple[Step, ...]:
        """All steps of a kind, in the order of work."""
        return tuple(step for step in self.steps if step.kind == kind)

    @property
    def folds(self) -> Step:
        """The making of the folds."""
        return self["folds",]

    @property
    def fold_models(self) -> tuple[Step, ...]:
        """The networks that left out one fold each."""
        return self.images.models

    @cached_property
    def stage_two(self) -> StageTwo:
        """What predicts new lesions once stage one has been asked about them."""
        return StageTwo(self.of("encoder"), self.of("booster"), self["blend",])

    def upto(self, verb: str) -> tuple[Step, ...]:
        """The steps that a verb does."""
        done = VERBS[: VERBS.index(verb) + 1]
        return tuple(step for step in self.steps if step.work.verb in done)

    def batches(self, verb: str) -> dict[str, tuple[Step, ...]]:
        """The same by batch, each in the order in which it is begun."""
        found: dict[str, list[Step]] = {}
        for step in self.upto(verb):
            found.setdefault(step.work.batch, []).append(step)
        return {name: tuple(sorted(steps, key=lambda step: step.work.turn)) for name, steps in found.items()}

    @property
    def for_prediction(self) -> tuple[Step, ...]:
        """The steps whose files predict new lesions."""
        paired = {step.key for step in self.images.pairs}
        return tuple(
            step
            for step in self.steps
            if step.work.for_prediction and not (step.kind == "fold model" and step.key in paired)
        )


def plan(run: Run, facts: InputFacts, folds: int) -> Plan:
    """Every step of a run whose inputs are these and which has so many folds."""
    recipe = run.recipe
    divided = folds_step(run, facts)
    steps = [divided]

    images, on_test = ImageColumns(), tuple[Step, ...]()
    if recipe.image_models:
        singles = [(fold,) for fold in range(folds)]
        models, pairs = (
            tuple(fold_model_step(run, facts, divided, model, left) for model in recipe.image_models for left in every)
            for every in (singles, list(combinations(range(folds), 2)) if recipe.tabular.nested else [])
        )
        if facts.tests_images(recipe):
            on_test = tuple(test_lesions_step(facts, model) for model in models)
        table = oof_table_step(run, models, on_test)
        steps += [*models, *pairs, *on_test, table]
        images = ImageColumns(table, models, pairs)

    searches = tuning_steps(run, facts, divided, images, folds)
    steps += dict.fromkeys(searches.values())
    # What a search will find is not known before it ends: until then the steps that rest on it wait for it.
    found = {place: found_parameters(search) for place, search in searches.items()}
    waiting = {place: searches[place] for place, parameters in found.items() if parameters is None}
    members = list[MemberRecipe]()
    for member in recipe.tabular.members:
        of_member = [found.get((member.name, fold)) or {} for fold in range(folds)]
        members.append(member.model_copy(update={"by_fold": tuple(of_member)}) if any(of_member) else member)
    encoders = tuple(encoder_step(run, facts, divided, images, fold) for fold in range(folds))
    boosters = tuple(
        booster_step(run, facts, divided, images, member.of_fold(fold), fold, seed, waiting.get((member.name, fold)))
        for fold in range(folds)
        for member in members
        for seed in member.seeds
    )
    blended = blend_step(run, boosters, next(iter(waiting.values()), None))
    steps += [*encoders, *boosters, blended, calibration_step(run, facts, divided, blended)]
    if facts.test_table is not None:
        steps.append(submission_step(run, facts, images.table, encoders, boosters, blended))
    return Plan(run, tuple(steps), images, tuple(members))


def plan_of(inputs: Inputs) -> Plan:
    """The plan of a run whose inputs are at hand."""
    return plan(inputs.run, inputs.facts, finished_fold_count(inputs.run))


def planned_folds(inputs: Inputs) -> Folds:
    """The folds of a run, or those that it would make; nothing is written."""
    step = plan_of(inputs).folds
    return inputs.folds if step.stale_reason() is None else make_folds(inputs.data.train, inputs.run.recipe.folds)


def settled(plan: Plan) -> Recipe:
    """The run's recipe with the members as they are fitted: a variant of it is not tuned again."""
    tabular = plan.run.recipe.tabular
    fixed = tabular.model_copy(update={"members": plan.members, "tune": type(tabular.tune)(scope=tabular.tune.scope)})
    return plan.run.recipe.model_copy(update={"tabular": fixed})


def not_done(steps: Iterable[Step], every_byte: bool = False) -> dict[Step, str]:
    """The steps that must run, each with the reason; one that needs such a step is not looked at."""
    found: dict[Step, str] = {}
    for step in steps:
        try:
            reason = step.stale_reason(every_byte=every_byte)
        except DataError as error:
            reason = str(error)
        if reason:
            found[step] = reason
    return found
