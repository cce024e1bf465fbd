"""What the verbs share: their options, and how the run that they are about is opened.

Help is printed from here, so nothing heavy is imported before a verb begins its work.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data.files import remove_leftovers
from pipeline.actions.wanted import Wanted
from pipeline.execute.launched import follows
from pipeline.lock import hold

if TYPE_CHECKING:
    from pipeline.inputs import Inputs
    from pipeline.runtime import Runtime

RecipeOption = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        "-r",
        help="A shipped recipe (see `fusionnetx recipes`) or a .toml file. Default: the run's own, else demo.",
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data", "-d", help="Folder of the published files. Default: the run's own, else a synthetic cohort is made."
    ),
]
MovedDataOption = Annotated[
    Path | None, typer.Option("--data", "-d", help="Where the run's data are now, if they have moved.")
]
RunOption = Annotated[
    str | None, typer.Option("--run", help="Name of the run folder under runs/, or a path. Default: the recipe's name.")
]
ExistingRunOption = Annotated[str, typer.Option("--run", help="Name or path of a run.")]
ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="Let finished steps go that another recipe or other data make stale.")
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
    typer.Option("--tensorboard", help=r"Write training scalars to <run>/tensorboard (needs the extra \[tracking])."),
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


@dataclass(frozen=True)
class How:
    """Who does the work of a verb, and what is kept of it on the way."""

    executor: str = "local"
    store: str | None = None
    devices: int | None = None
    """Processes that train a model together; None for a verb that trains none."""
    storage: str | None = None
    tensorboard: bool = False


@contextmanager
def training(wanted: Wanted, how: How) -> Iterator[tuple["Inputs", "Runtime"]]:
    """The run to train, held for this process; of the processes that torchrun starts, one goes on from here."""
    if how.devices is not None and follows():
        from pipeline.execute.follow import follow

        raise typer.Exit(follow())
    from pipeline.actions.opening import executor_named, refuse_losses, surroundings, wanted_run
    from pipeline.inputs import Inputs

    run = wanted_run(wanted)
    executor = executor_named(how.executor, how.store, how.devices or 1, trains=how.devices is not None)
    runtime = surroundings(executor=executor, storage=how.storage, tensorboard=how.tensorboard)
    inputs = Inputs(run, runtime)
    with runtime.display.listening(), closing(executor):
        # Before the folder is made: data that cannot be used leave nothing behind.
        _ = inputs.data
        with hold(run.folder):
            remove_leftovers(runtime.cache_dir)
            if not wanted.replace:
                refuse_losses(run, inputs)
            yield inputs, runtime


@contextmanager
def looking(name: str, data: Path | None = None, *, executor: str = "local") -> Iterator[tuple["Inputs", "Runtime"]]:
    """A run that exists, held for this process, with the recipe and the data that it has."""
    from pipeline.actions.opening import executor_named, existing_run, surroundings
    from pipeline.inputs import Inputs

    run = existing_run(name, data)
    who = executor_named(executor)
    runtime = surroundings(executor=who)
    with runtime.display.listening(), closing(who), hold(run.folder):
        yield Inputs(run, runtime), runtime


@contextmanager
def reading(wanted: Wanted) -> Iterator[tuple["Inputs", "Runtime"]]:
    """A run, or what one would be, for a look that neither holds nor records it."""
    from pipeline.actions.opening import surroundings, wanted_run
    from pipeline.inputs import Inputs

    runtime = surroundings()
    inputs = Inputs(wanted_run(wanted), runtime)
    with runtime.display.listening():
        yield inputs, runtime
