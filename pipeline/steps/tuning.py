"""The search of a member's parameters, when the recipe asks for one; what was found replaces the recipe's parameters.

For each fold a search of its own, on the other folds: no parameter knows the fold that it is scored on, so the scores
of the run are honest. (One search may be shared by all folds; it sees them, which makes their scores optimistic, and
its winner is scored again on folds made with other seeds.) New lesions are predicted by every fold's models, each with
the parameters found for it: nothing is fitted on all lesions, so nothing needs a search on all of them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from data.errors import DataError, RecipeError
from data.files import read_json
from data.folds import Folds, make_folds
from data.progress import Progress
from features.table import FeatureTable
from pipeline.execute.files import step_files
from pipeline.execute.job import Job
from pipeline.execute.running import run_all
from pipeline.facts import InputFacts
from pipeline.inputs import Inputs
from pipeline.recipe import Recipe
from pipeline.run import Run
from pipeline.runtime import Runtime
from pipeline.seeds import derive
from pipeline.stage_two import ImageColumns, encoded, shared_features, train_rows, trained_on
from pipeline.step import Need, Resources, Step, Work
from tabular.learners.search_space import Value
from tabular.recipe import MemberRecipe
from tabular.tuning.binned_folds import FoldData

if TYPE_CHECKING:
    from tabular.tuning.search import TuneResult

FILE = "tuning.json"


@dataclass(frozen=True)
class SearchParameters(Work):
    """Run the trials of one member and score the winner again."""

    verb: ClassVar[str] = "tabular"
    stage: ClassVar[str] = "tuning"
    batch: ClassVar[str] = "tuning"

    member: MemberRecipe
    images: ImageColumns
    fold: int | None
    """The fold that the parameters are for, and that the search must not see; None: for all, and it sees them."""

    @property
    def turn(self) -> tuple[Any, ...]:
        """Fold by fold: nested image columns are made anew for each."""
        return (-1 if self.fold is None else self.fold,)

    def resources(self, inputs: Inputs, runtime: Runtime) -> Resources:
        """Threads that the trials share."""
        return Resources(inputs.run.recipe.resources.search_threads or runtime.threads)

    def reads(self, inputs: Inputs) -> tuple[str, ...]:
        """The image columns: they are in the features, whatever this member looks at."""
        return self.images.files(inputs)

    def prepare(self, steps: Sequence[Step], inputs: Inputs, runtime: Runtime) -> None:
        """Where jobs run in other processes, let several of them share the trials."""
        workers = inputs.run.recipe.tabular.tune.workers if runtime.executor.spreads else 1
        if workers == 1:
            return
        from tabular.tuning.study import prepare_database, quiet

        refuse_private_study(runtime)
        for step in steps:
            with quiet():
                prepare_database(study_url(step, inputs, runtime))
        jobs = [trials_job(step, inputs, runtime, worker) for step in steps for worker in range(1, workers + 1)]
        run_all(inputs, runtime, jobs, "tuning: trials")

    def do(self, step: Step, inputs: Inputs, runtime: Runtime) -> None:
        """Do the trials that are missing, score the winner of a shared search on other folds, keep the result."""
        attempt = step.begin()
        with runtime.display.task(step.name) as progress:
            result = self.search(step, inputs, runtime, progress, last=True)
        attempt.finish(list(result.write(step.folder)), reestimate=honest(result))
        self.tell(step, result, runtime)

    def search(self, step: Step, inputs: Inputs, runtime: Runtime, progress: Progress, *, last: bool) -> "TuneResult":
        """Run trials of the study; of a shared one, the `last` to do so also scores the winner again."""
        from tabular.tuning.search import tune

        own = () if self.fold is None else (self.fold,)
        table = shared_features(inputs, runtime, self.images, *map(self.images.nested, own))
        return tune(
            self.member,
            inputs.run.recipe.tabular,
            searched_folds(inputs, table, self.fold),
            storage=study_url(step, inputs, runtime) or step.folder / "study.journal",
            study_name="-".join([inputs.run.name, self.member.name, *map(str, own)]),
            seed=derive(inputs.run.recipe.seed, "tuning", self.member.name, *own),
            other_folds=other_fold_data(inputs, table) if last and self.fold is None else (),
            threads=runtime.job_cpus,
            progress=progress,
        )

    def tell(self, step: Step, result: "TuneResult", runtime: Runtime) -> None:
        """Print both figures: the optimistic one and the honest one."""
        for note in result.notes:
            runtime.note_once(f"{self.member.name}: {note}")
        first = "" if result.first_value is None else f" (the recipe's parameters {result.first_value:.4f})"
        line = f"{step.name}: best of {result.table.height} trials, pAUC {result.best_value:.4f}{first}"
        again = honest(result)
        if again is not None:
            line += f"; on folds the search did not see, tuned {again['tuned']:.4f}"
            line += f", as in the recipe {again['as_in_recipe']:.4f}"
        runtime.display.say(line)


def tuning_steps(
    run: Run, facts: InputFacts, divided: Step, images: ImageColumns, folds: int
) -> dict[tuple[str, int], Step]:
    """The search that each member's parameters on each fold come from, where the recipe asks for one."""
    if run.recipe.tabular.tune.scope == "shared":
        return {
            (member.name, fold): step
            for member in wanted_members(run.recipe)
            for step in [tuning_step(run, facts, divided, images, member, None)]
            for fold in range(folds)
        }
    if wanted_members(run.recipe) and folds < 3:
        raise RecipeError(
            f"a search inside the training patients of a fold divides them by the other folds, and of {folds} folds "
            'there is one other; set folds.count = 3 at least, or tabular.tune.scope = "shared"'
        )
    return {
        (member.name, fold): tuning_step(run, facts, divided, images, member, fold)
        for fold in range(folds)
        for member in wanted_members(run.recipe)
    }


def tuning_step(
    run: Run, facts: InputFacts, folds: Step, images: ImageColumns, member: MemberRecipe, fold: int | None
) -> Step:
    """The search of one member, for one fold or for all, and everything its result depends on."""
    recipe, tune = run.recipe, run.recipe.tabular.tune
    shared, folder = fold is None, run.folder / "tabular" / member.name / "tuning"
    # How the trials are shared out, and what is not read.
    apart = {"jobs", "workers", "members", "spaces", "inner_folds" if shared else "reestimate_seeds"}
    return Step(
        kind="tuning",
        key=(member.name,) if fold is None else (member.name, fold),
        name=f"tuning of {member.name}" + ("" if shared else f", fold {fold}"),
        folder=folder if shared else folder / f"fold_{fold}",
        work=SearchParameters(member, images, fold),
        settings={
            "member": member.model_dump(mode="json"),
            "tune": tune.model_dump(mode="json", exclude=apart),
            **({} if shared else {"nested": recipe.tabular.nested}),
            "search_space": {
                name: space.model_dump(mode="json")
                for name, space in recipe.tabular.tune.search_space_of(member).items()
            },
            "features": recipe.features.model_dump(mode="json"),
            # Named where it does something, so that what was fitted before there was the key still holds.
            **({} if recipe.tabular.exclude == "none" else {"exclude": recipe.tabular.exclude}),
            "resample": recipe.tabular.resample.model_dump(mode="json"),
            "image_noise": recipe.tabular.image_noise,
            "run_seed": recipe.seed,
        },
        needs=(
            Need("train table", facts.train_table),
            Need("folds", step=folds, artefacts=("folds.parquet",)),
            *(images.needs if member.image_columns else ()),
        ),
        unfinished="study.*",
    )


def wanted_members(recipe: Recipe) -> list[MemberRecipe]:
    """Members that the recipe wants tuned."""
    tuning = recipe.tabular.tune
    if not tuning.trials:
        return []
    return [member for member in recipe.tabular.members if not tuning.members or member.name in tuning.members]


def found_parameters(step: Step) -> Mapping[str, Value] | None:
    """What a search found to be better than what the recipe has; None before it ended."""
    path = step.folder / FILE
    if step.report() is None:
        return None
    assert isinstance(step.work, SearchParameters)
    recipe = step.work.member
    given = {**recipe.parameters, "iterations": recipe.iterations}
    try:
        facts = read_json(path)
        found = MemberRecipe.model_validate_json(json.dumps(facts["member"]))
        every = {**found.parameters, "iterations": found.iterations}
        return {name: every[name] for name in facts["best_parameters"] if every[name] != given.get(name)}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} is missing or damaged; `fusionnetx tabular` searches again") from error


def trials_job(step: Step, inputs: Inputs, runtime: Runtime, worker: int) -> Job:
    """A worker's share of the trials of a study."""
    threads = step.work.resources(inputs, runtime).cpus
    return Job(
        function="pipeline.execute.steps:run_trials",
        arguments=(study_url(step, inputs, runtime), *step.key),
        title=f"{step.name}, worker {worker}",
        cpus=threads,
        inputs=step_files(step, inputs),
    )


def study_url(step: Step, inputs: Inputs, runtime: Runtime) -> str:
    """Where a study lives: at the URL given, in a database that workers share, or (empty) in this process's file."""
    shared = runtime.executor.spreads and inputs.run.recipe.tabular.tune.workers > 1
    if runtime.storage is not None or not shared:
        return runtime.storage or ""
    folder = step.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'study.db'}"


def refuse_private_study(runtime: Runtime) -> None:
    """Refuse to share a study in the run folder with workers that do not see it."""
    if runtime.storage is None and runtime.executor.store_url is not None:
        raise RecipeError(
            "tabular.tune.workers above 1 with --store needs a study that all workers reach; give --storage "
            "postgresql+psycopg://user@host/name"
        )


def searched_folds(inputs: Inputs, table: FeatureTable, outer: int | None) -> Iterator[FoldData]:
    """What the trials train on and are scored by: the inner folds of one, or (shared) those of the run."""
    folds = inputs.folds
    inner = [fold for fold in range(folds.count) if fold != outer]
    wanted = inputs.run.recipe.tabular.tune.inner_folds if outer is not None else 0
    for fold in inner[: wanted or None]:
        yield fold_data(inputs, table, folds, fold, outer)


def other_fold_data(inputs: Inputs, table: FeatureTable) -> Iterator[FoldData]:
    """Encoded folds of other fold seeds, which a shared search did not see."""
    recipe = inputs.run.recipe
    for seed in recipe.tabular.tune.reestimate_seeds:
        other = recipe.folds.model_copy(update={"seed": seed, "file": None, "count": inputs.folds.count})
        folds = make_folds(inputs.data.train, other)
        for fold in range(folds.count):
            yield fold_data(inputs, table, folds, fold)


def fold_data(inputs: Inputs, table: FeatureTable, folds: Folds, fold: int, outer: int | None = None) -> FoldData:
    """One encoded fold; of an inner one, without the lesions of the `outer`."""
    train = inputs.data.train
    used = trained_on(train, inputs.run.recipe.tabular)
    _, groups = np.unique(train.groups, return_inverse=True)
    rows, held_out = train_rows(folds, fold, outer), folds.validation_rows(fold)
    _, train_matrix, held_out_matrix = encoded(inputs, table, folds, fold, outer)
    if not used[rows].all():
        train_matrix = replace(train_matrix, values=train_matrix.values[used[rows]])
        rows = rows[used[rows]]
    return FoldData(train_matrix, train.target[rows], groups[rows], held_out_matrix, train.target[held_out])


def honest(result: "TuneResult") -> dict[str, float] | None:
    """Mean scores on folds that the search did not see."""
    if result.reestimate is None:
        return None
    return {"tuned": fmean(result.reestimate.tuned), "as_in_recipe": fmean(result.reestimate.as_in_recipe)}
