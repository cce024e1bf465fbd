"""From the words of a caller to a run, its inputs and its surroundings."""

import sys
from dataclasses import asdict
from pathlib import Path

from data.errors import DataError, RecipeError
from data.files import fingerprint
from pipeline.actions.wanted import Wanted
from pipeline.display import Display
from pipeline.execute.job import Executor
from pipeline.execute.launched import launched_by_torchrun
from pipeline.execute.local import LocalExecutor
from pipeline.facts import InputFacts, finished_fold_count, recorded_facts, reports_of
from pipeline.inputs import Inputs
from pipeline.integrity.diff import changed_recipe
from pipeline.plan import Plan, plan
from pipeline.recipe import Recipe, load_recipe
from pipeline.run import EXPORT_FILE, Run
from pipeline.runtime import Runtime, cache_folder, weights_folder
from pipeline.step import Step
from pipeline.step_reports import changed_keys

DEFAULT_RECIPE = "demo"


def run_path(name: str) -> Path:
    """runs/<name>, or the path that was given."""
    return Path(name) if "/" in name else Path("runs") / name


def existing_run(name: str, data: Path | None = None) -> Run:
    """A run that exists, by name or path; `data` says where its data are now."""
    return Run.open(run_path(name)).derive(data_dir=data)


def wanted_run(wanted: Wanted) -> Run:
    """The run to train: a new one, or one that exists, with its own recipe and data unless others are given."""
    name = wanted.run or Path(wanted.recipe or DEFAULT_RECIPE).stem
    folder = run_path(name)
    refuse_export(folder)
    own = Run.open(folder) if (folder / "recipe.toml").is_file() else None
    if own is not None and wanted.recipe is None and wanted.run is not None:
        recipe = load_recipe(str(folder / "recipe.toml"), wanted.changes)
    else:
        recipe = load_recipe(wanted.recipe or DEFAULT_RECIPE, wanted.changes)
    if own is None:
        return Run.of(recipe, folder, wanted.data)
    # Of a run that names its data, they stay what they are unless others are given.
    return own.derive(recipe=recipe, data_dir=wanted.data)


def refuse_export(folder: Path) -> None:
    """DataError where a folder was exported to predict: what training goes on from has stayed behind."""
    if (folder / EXPORT_FILE).is_file():
        raise DataError(
            f"{folder} was exported from a run to predict, and holds nothing to go on with; give the run itself, "
            "or name another folder with --run"
        )


def ahead(wanted: Wanted) -> tuple[Inputs, Runtime]:
    """What a run would read, for a look before there is one: a recipe and a folder of data, no run folder."""
    recipe = load_recipe(wanted.recipe or DEFAULT_RECIPE, wanted.changes)
    folder = run_path(Path(wanted.recipe or DEFAULT_RECIPE).stem)
    here = surroundings()
    return Inputs(Run.of(recipe, folder, wanted.data), here), here


def refuse_losses(run: Run, inputs: Inputs) -> None:
    """Stop before finished steps are lost to another recipe or other data than the run was made with."""
    if not run.is_recorded:
        return
    before = Run.open(run.folder)
    reports = {path: report for path, report in reports_of(before.folder).items() if "/" not in path or is_step(path)}
    recorded = recorded_facts(before, reports)
    differences = [
        *(changed_recipe(before.recipe, run.recipe) or reordered(before.recipe, run.recipe)),
        *changed_inputs(recorded, inputs.facts),
        # The submission of invented lesions is scored against their answer key; that of real ones cannot be.
        *changed_keys({"invented": before.invented}, {"invented": run.invented}, ""),
    ]
    lost = would_be_lost(plan(before, recorded, finished_fold_count(before)), inputs) if differences else []
    if not lost:
        return
    more = f"; and {len(differences) - 6} more" if len(differences) > 6 else ""
    raise RecipeError(
        f"run {run.folder} was made with another recipe or other data ({'; '.join(differences[:6])}{more}): "
        f"{len(lost)} finished steps would be done again or left behind (first: {lost[0]}). Name another folder with "
        "--run, leave out --recipe, --set and --data to go on with the run as it is, or give --replace to have it made "
        "anew"
    )


def reordered(old: Recipe, new: Recipe) -> list[str]:
    """What is left to differ between recipes whose keys are all the same."""
    return ["the order of its models or members"] if old != new else []


def changed_inputs(recorded: InputFacts, now: InputFacts) -> list[str]:
    """Which inputs are not what the run recorded of them."""
    old, new = asdict(recorded), asdict(now)
    return [f"{name.replace('_', ' ')} (its content)" for name in old if old[name] and old[name] != new[name]]


def would_be_lost(before: Plan, inputs: Inputs) -> list[str]:
    """Names of the finished steps of a run that its new recipe and data have no use for."""
    new = {step.report_path: step for step in plan(inputs.run, inputs.facts, finished_fold_count(inputs.run))}
    return [step.name for step in before if step.report() and not still_holds(step, new.get(step.report_path))]


def still_holds(done: Step, new: Step | None) -> bool:
    """Whether a finished step is what the new plan wants in its place."""
    report = done.report() or {}
    if new is None or fingerprint(report["settings"]) != fingerprint(new.settings):
        return False
    try:
        return bool(report["fingerprint"] == new.fingerprint)
    except DataError:
        return True  # what it was made from is missing, whatever the recipe says


def is_step(path: str) -> bool:
    """Whether a report lies where steps of the run itself have theirs."""
    return path.startswith(("oof/", "features/", "tabular/"))


def surroundings(
    display: Display | None = None,
    executor: Executor | None = None,
    *,
    storage: str | None = None,
    tensorboard: bool = False,
) -> Runtime:
    """The surroundings of a command, with the default folders."""
    if sys.flags.optimize > 1:
        raise DataError(
            "Python was told to drop docstrings (-OO, PYTHONOPTIMIZE=2), and LightGBM and XGBoost cannot be loaded "
            "without theirs; PYTHONOPTIMIZE=1 works"
        )
    return Runtime(
        display=display or Display(),
        executor=executor or LocalExecutor(),
        cache_dir=cache_folder(),
        weights_dir=weights_folder(),
        storage=storage,
        tensorboard=tensorboard,
    )


def executor_named(name: str, store: str | None = None, devices: int = 1, *, trains: bool = False) -> Executor:
    """The executor of that name."""
    if name not in ("local", "ray"):
        raise RecipeError(f"there is no executor {name!r}; there are local and ray")
    together = devices > 1 or (trains and launched_by_torchrun())
    if together and name == "ray":
        raise RecipeError(
            "a cluster gives every image model one process: take --executor local for models on several devices"
        )
    if together:
        from pipeline.execute.devices import DevicesExecutor

        return DevicesExecutor(devices)
    if name == "local":
        from pipeline.execute.processes import ProcessesExecutor

        return ProcessesExecutor()
    from pipeline.execute.ray_cluster import RayExecutor

    return RayExecutor(store)
