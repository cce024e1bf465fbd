"""What the verbs share: their options, and how a recipe and a run folder become a workspace."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from data.errors import DataError, RecipeError
from data.files import remove_leftovers
from pipeline.display import Display
from pipeline.execute.job import Executor
from pipeline.execute.launched import follows, launched_by_torchrun
from pipeline.execute.local import LocalExecutor
from pipeline.recipe import Recipe, load_recipe
from pipeline.run import hold
from pipeline.workspace import Workspace

RecipeOption = Annotated[
    str, typer.Option("--recipe", "-r", help="A shipped recipe (see `fusionnetx recipes`) or a .toml file.")
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", "-d", help="Folder with the Kaggle files; without it a synthetic cohort is made."),
]
RunOption = Annotated[
    str | None, typer.Option("--run", help="Name of the run folder under runs/, or a path. Default: the recipe's name.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", help="Change one recipe key, e.g. --set image_models[0].epochs=3. Repeatable."),
]

StorageOption = Annotated[
    str | None,
    typer.Option("--storage", help="Optuna storage URL to share studies by; default: a file in the run folder."),
]
TensorBoardOption = Annotated[
    bool,
    typer.Option("--tensorboard", help="Write training scalars to <run>/tensorboard (needs the extra [tracking])."),
]
ExecutorOption = Annotated[
    str,
    typer.Option(
        "--executor",
        envvar="FUSIONNETX_EXECUTOR",
        help="Who does the jobs: `local` (this process) or `ray` (the cluster at RAY_ADDRESS, else one started here).",
    ),
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        envvar="FUSIONNETX_STORE",
        help="With ray: a folder at any fsspec URL (s3://..., gs://..., file://...), for workers without this disk.",
    ),
]
DevicesOption = Annotated[
    int,
    typer.Option(
        "--devices",
        min=1,
        help="Processes that train each image model together, one for each GPU; on a machine without GPUs they share "
        "its processors.",
    ),
]


def example(*lines: str) -> str:
    """The examples under a command's help."""
    return "Examples:\n\n" + "\n\n".join(f"  [bold]fusionnetx {line}[/bold]" for line in lines)


def run_path(recipe_name: str, run: str | None) -> Path:
    """runs/<name>, or the path that was given."""
    name = run or Path(recipe_name).stem
    return Path(name) if "/" in name else Path("runs") / name


@contextmanager
def open_workspace(
    recipe_name: str,
    data: Path | None,
    run: str | None,
    changes: list[str] | None,
    *,
    storage: str | None = None,
    tensorboard: bool = False,
    executor: str = "local",
    store: str | None = None,
    devices: int | None = None,
    record: bool = True,
) -> Iterator[Workspace]:
    """Read the recipe, hold the run folder, listen for a request to stop; a look alone does not `record` the recipe.

    Verbs that train take `devices`. Of the processes that torchrun starts for them, one goes on from here.
    """
    if devices is not None and follows():
        from pipeline.execute.follow import follow

        raise typer.Exit(follow())
    recipe = load_recipe(recipe_name, changes or ())
    space = workspace(recipe, run_path(recipe_name, run), data)
    space.storage, space.tensorboard = storage, tensorboard
    space.executor = executor_named(executor, store, devices or 1, trains=devices is not None)
    with space.display.listening(), hold(space.run_dir), closing(space.executor):
        remove_leftovers(space.cache_dir)
        if record:
            space.record_recipe()
        yield space


def executor_named(name: str, store: str | None, devices: int = 1, *, trains: bool = False) -> Executor:
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


def workspace(recipe: Recipe, run_dir: Path, data: Path | None) -> Workspace:
    """A workspace with the default cache and weights folders."""
    return Workspace(
        recipe=recipe,
        run_dir=run_dir,
        cache_dir=Path(os.environ.get("FUSIONNETX_CACHE", "cache")),
        weights_dir=Path(os.environ.get("FUSIONNETX_WEIGHTS", "weights")),
        display=Display(),
        data_dir=data,
    )


def finished_run(run: str) -> Workspace:
    """The workspace of a run that exists, by its name under runs/ or its path, with the recipe it was made by."""
    run_dir = run_path(run, run)
    recipe_path = run_dir / "recipe.toml"
    if not recipe_path.is_file():
        raise DataError(f"{run_dir} is not a run folder: it has no recipe.toml; name a finished run with --run")
    return workspace(load_recipe(str(recipe_path)), run_dir, None)
