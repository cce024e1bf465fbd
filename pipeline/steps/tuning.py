"""Search the members' parameters when the recipe asks for it; what was found replaces the recipe's parameters.

The search sees the run's folds. Its winner is scored again on folds made with other seeds, beside the member as the
recipe has it, because the best of many trials is optimistic.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import numpy as np

from data.errors import DataError, RecipeError
from data.files import read_json
from data.folds import Folds, make_folds
from data.progress import Progress
from features.table import FeatureTable
from pipeline.execute.files import run_name
from pipeline.execute.job import Job
from pipeline.execute.running import run_all
from pipeline.run import Step
from pipeline.seeds import derive
from pipeline.steps.features import encoded, image_inputs, shared_features, stage_two_inputs
from pipeline.workspace import Workspace
from tabular.recipe import MemberRecipe
from tabular.tuning.binned_folds import FoldData
from tabular.tuning.search import TuneResult, tune
from tabular.tuning.study import prepare_database, quiet


def wanted_members(space: Workspace) -> list[MemberRecipe]:
    """Members that the recipe wants tuned."""
    plan = space.recipe.tabular.tune
    if not plan.trials:
        return []
    return [member for member in space.recipe.tabular.members if not plan.members or member.name in plan.members]


def tuning_dir(space: Workspace, member: MemberRecipe) -> Path:
    """Where the search of one member lives."""
    return space.run_dir / "tabular" / member.name / "tuning"


def tuning_step(space: Workspace, member: MemberRecipe) -> Step:
    """The search of one member and everything its result depends on."""
    recipe = space.recipe
    return Step(
        name=f"tuning of {member.name}",
        folder=tuning_dir(space, member),
        settings={
            "member": member.model_dump(mode="json"),
            "tune": recipe.tabular.tune.model_dump(mode="json", exclude={"jobs", "workers", "members", "spaces"}),
            "search_space": {
                name: space.model_dump(mode="json")
                for name, space in recipe.tabular.tune.search_space_of(member).items()
            },
            "features": recipe.features.model_dump(mode="json"),
            "resample": recipe.tabular.resample.model_dump(mode="json"),
            "image_noise": recipe.tabular.image_noise,
            "run_seed": recipe.seed,
        },
        inputs={
            "train table": space.data.train.fingerprint,
            "folds": space.folds_checksum,
            **(image_inputs(space) if member.image_columns else {}),
        },
    )


def run_tuning(space: Workspace) -> None:
    """Search what has not been searched; an interrupted search goes on with its remaining trials."""
    todo = [member for member in wanted_members(space) if tuning_step(space, member).why()]
    workers = space.recipe.tabular.tune.workers if space.executor.spreads else 1
    if workers > 1 and todo:
        refuse_private_study(space)
        for url in {study_url(space, member) for member in todo}:
            with quiet():
                prepare_database(url)
        trials = [search_job(space, member, "trials", worker) for member in todo for worker in range(1, workers + 1)]
        run_all(space, trials, "tuning: trials")
    run_all(space, [search_job(space, member, "search") for member in todo], "tuning")
    space.shared.forget("features")


def search_job(space: Workspace, member: MemberRecipe, work: str, worker: int = 0) -> Job:
    """A worker's share of the trials of a study, or the end of a search: what is missing, the winner, its scores."""
    threads = space.recipe.resources.search_threads or space.threads
    folder = run_name(tuning_dir(space, member), space)
    return Job(
        work=work,
        arguments=(member.name, threads, study_url(space, member)),
        title=f"tuning of {member.name}" + (f", worker {worker}" if worker else ""),
        cpus=threads,
        inputs=(*stage_two_inputs(space), folder),
        outputs=() if worker else (folder,),
    )


def study_url(space: Workspace, member: MemberRecipe) -> str:
    """Where a study lives: at the URL given, in a database that workers share, or (empty) in this process's file."""
    if space.storage is not None or not space.executor.spreads or space.recipe.tabular.tune.workers == 1:
        return space.storage or ""
    folder = tuning_dir(space, member).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'study.db'}"


def refuse_private_study(space: Workspace) -> None:
    """Refuse to share a study in the run folder with workers that do not see it."""
    if space.storage is None and space.executor.store_url is not None:
        raise RecipeError(
            "tabular.tune.workers above 1 with --store needs a study that all workers reach; give --storage "
            "postgresql+psycopg://user@host/name"
        )


def run_trials(space: Workspace, name: str, threads: int, storage: str) -> None:
    """Do a worker's share of the trials: until the study has as many as the recipe asks for."""
    with space.display.task(f"tuning {name}: trials") as progress:
        search(space, named(space, name), threads, storage, progress, last=False)


def finish_search(space: Workspace, name: str, threads: int, storage: str) -> None:
    """Do the trials that are missing, score the winner on other folds, keep the result."""
    member = named(space, name)
    step = tuning_step(space, member)
    step.begin()
    with space.display.task(f"tuning {name}") as progress:
        result = search(space, member, threads, storage, progress, last=True)
    step.finish(list(result.write(step.folder)), reestimate=honest(result))
    tell(space, member, result)


def search(
    space: Workspace, member: MemberRecipe, threads: int, storage: str, progress: Progress, *, last: bool
) -> TuneResult:
    """Run trials of a member's study; the `last` to do so also scores the winner again."""
    table = shared_features(space)
    return tune(
        member,
        space.recipe.tabular,
        fold_data(space, table, space.folds),
        storage=storage or tuning_dir(space, member) / "study.journal",
        study_name=f"{space.run_dir.name}-{member.name}",
        seed=derive(space.recipe.seed, "tuning", member.name),
        other_folds=other_fold_data(space, table) if last else (),
        threads=threads,
        progress=progress,
    )


def named(space: Workspace, name: str) -> MemberRecipe:
    """A member as the recipe has it."""
    return next(member for member in space.recipe.tabular.members if member.name == name)


def tuned_members(space: Workspace) -> tuple[MemberRecipe, ...]:
    """The members as they will be fitted: with the parameters that were found, where a search was made."""
    searched = {member.name for member in wanted_members(space)}
    return tuple(
        MemberRecipe.model_validate_json(found_member(tuning_dir(space, member))) if member.name in searched else member
        for member in space.recipe.tabular.members
    )


def found_member(folder: Path) -> str:
    """The winning member of a search, as JSON."""
    path = folder / "tuning.json"
    try:
        return json.dumps(read_json(path)["member"])
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} is missing or damaged; `fusionnetx tabular` searches again") from error


def fold_data(space: Workspace, table: FeatureTable, folds: Folds) -> Iterator[FoldData]:
    """Encoded folds, one at a time."""
    train = space.data.train
    _, groups = np.unique(train.groups, return_inverse=True)
    for fold in range(folds.count):
        rows, held_out = folds.train_rows(fold), folds.validation_rows(fold)
        _, train_matrix, held_out_matrix = encoded(space, table, folds, fold)
        yield FoldData(train_matrix, train.target[rows], groups[rows], held_out_matrix, train.target[held_out])


def other_fold_data(space: Workspace, table: FeatureTable) -> Iterator[FoldData]:
    """Encoded folds of other fold seeds, which the search did not see."""
    for seed in space.recipe.tabular.tune.reestimate_seeds:
        recipe = space.recipe.folds.model_copy(update={"seed": seed, "file": None, "count": space.folds.count})
        yield from fold_data(space, table, make_folds(space.data.train, recipe))


def honest(result: TuneResult) -> dict[str, float] | None:
    """Mean scores on folds that the search did not see."""
    if result.reestimate is None:
        return None
    return {"tuned": fmean(result.reestimate.tuned), "as_in_recipe": fmean(result.reestimate.as_in_recipe)}


def tell(space: Workspace, member: MemberRecipe, result: TuneResult) -> None:
    """Print both figures: the optimistic one and the honest one."""
    for note in result.notes:
        space.note_once(f"{member.name}: {note}")
    first = "" if result.first_value is None else f" (the recipe's parameters {result.first_value:.4f})"
    space.display.say(f"tuning {member.name}: best of {result.table.height} trials {result.best_value:.4f}{first}")
    again = honest(result)
    if again is not None:
        space.display.say(
            f"tuning {member.name}: on folds the search did not see, tuned {again['tuned']:.4f}, "
            f"as in the recipe {again['as_in_recipe']:.4f}"
        )
