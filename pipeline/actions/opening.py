"""From the words of a caller to a run, its inputs and its surroundings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data.errors import DataError, RecipeError
from pipeline.display import Display
from pipeline.execute.job import Executor
from pipeline.execute.launched import launched_by_torchrun
from pipeline.execute.local import LocalExecutor
from pipeline.inputs import Inputs
from pipeline.plan import plan
from pipeline.recipe import load_recipe
from pipeline.run import Run
from pipeline.runtime import Runtime, cache_folder, weights_folder
from pipeline.step import changed_keys

DEFAULT_RECIPE = "demo"


@dataclass(frozen=True)
class Wanted:
    """What a caller says of the run to work on; None where nothing was said."""

    recipe: str | None = None
    """A shipped recipe or a file."""
    run: str | None = None
    """A name under runs/, or a path."""
    data: Path | None = None
    changes: Sequence[str] = ()
    """`key=value` changes of the recipe."""
    replace: bool = False
    """Whether finished steps may be lost to another recipe or other data."""


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
    own = Run.open(folder) if (folder / "recipe.toml").is_file() else None
    if own is not None and wanted.recipe is None and wanted.run is not None:
        recipe = load_recipe(str(folder / "recipe.toml"), wanted.changes)
    else:
        recipe = load_recipe(wanted.recipe or DEFAULT_RECIPE, wanted.changes)
    if own is None:
        return Run.of(recipe, folder, wanted.data)
    # Of a run that names its data, they stay what they are unless others are given.
    return own.derive(recipe=recipe, data_dir=wanted.data)


def refuse_losses(run: Run, inputs: Inputs) -> None:
    """Stop before finished steps are lost to another recipe or other data than the run was made with."""
    if not run.is_recorded:
        return
    before = Run.open(run.folder)
    lost = would_be_lost(before, inputs)
    if not lost:
        return
    differences = [
        *changed_keys(before.recipe.model_dump(mode="json"), run.recipe.model_dump(mode="json"), ""),
        *([] if before.data_dir == run.data_dir else [f"data {shown(before.data_dir)} -> {shown(run.data_dir)}"]),
    ]
    more = f"; and {len(differences) - 6} more" if len(differences) > 6 else ""
    what = "; ".join(differences[:6]) + more or "what it was made from is no longer the same"
    raise RecipeError(
        f"run {run.folder} was made with another recipe or other data ({what}): {len(lost)} finished steps would be "
        f"done again or left behind (first: {lost[0]}). Name another folder with --run, leave out --recipe, --set and "
        "--data to go on with the run as it is, or give --replace to have it made anew"
    )


def would_be_lost(before: Run, inputs: Inputs) -> list[str]:
    """Names of the finished steps of a run that its new recipe and data have no use for."""
    from pipeline.facts import finished_fold_count, recorded_facts, reports_of

    reports = {path: report for path, report in reports_of(before.folder).items() if "/" not in path or is_step(path)}
    old = plan(before, recorded_facts(before, reports), finished_fold_count(before))
    finished = {step.folder / step.report_name: report for step in old if (report := step.report()) is not None}
    new = plan(inputs.run, inputs.facts, finished_fold_count(inputs.run))
    kept = set()
    for step in new:
        report = finished.get(step.report_path)
        if report is None:
            continue
        try:
            if report["fingerprint"] == step.fingerprint:
                kept.add(step.report_path)
        except DataError:
            continue
    return [step.name for step in old if step.report_path in finished and step.report_path not in kept]


def is_step(path: str) -> bool:
    """Whether a report lies where steps of the run itself have theirs."""
    return path.startswith(("oof/", "features/", "tabular/"))


def shown(data_dir: Path | None) -> str:
    """A folder of data in a message."""
    return "(synthetic)" if data_dir is None else str(data_dir)


def runtime(
    display: Display | None = None,
    executor: Executor | None = None,
    *,
    storage: str | None = None,
    tensorboard: bool = False,
) -> Runtime:
    """The surroundings of a command, with the default folders."""
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
        return LocalExecutor()
    from pipeline.execute.ray_cluster import RayExecutor

    return RayExecutor(store)

