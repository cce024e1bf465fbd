"""The command line: one verb per stage, the same options everywhere, errors as one message.

Verbs are thin: they open the workspace, hold the run folder and call a stage. Exit codes: 0 done, 2 a mistake
in what was given, 130 or 143 interrupted (and able to go on).
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from data.errors import FusionNetXError, Interrupted
from pipeline.display import Display
from pipeline.recipe import Recipe, load_recipe, shipped_recipes
from pipeline.run import hold
from pipeline.workspace import Workspace

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Skin-lesion malignancy from many small images and a table: train by patient, stack, submit, score.",
    epilog="Start with: [bold]fusionnetx submission[/bold] (a synthetic cohort)\n\n"
    "The real entry: [bold]fusionnetx submission --recipe fusionnetx --data isic-2024/[/bold]",
)

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
    record: bool = True,
) -> Iterator[Workspace]:
    """Read the recipe, hold the run folder, listen for a request to stop; a look alone does not `record` the recipe."""
    recipe = load_recipe(recipe_name, changes or ())
    space = workspace(recipe, run_path(recipe_name, run), data)
    space.storage, space.tensorboard = storage, tensorboard
    with space.display.listening(), hold(space.run_dir):
        if record:
            space.record_recipe()
        yield space


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


@app.command(epilog=example("recipes"))
def recipes() -> None:
    """List the recipes that come with the project."""
    table = Table("recipe", "image models", "members", "what it is", title="Shipped recipes")
    for name in shipped_recipes():
        recipe = load_recipe(name)
        table.add_row(
            name,
            "\n".join(model.name for model in recipe.image_models) or "none",
            "\n".join(member.name for member in recipe.tabular.members) or "none",
            recipe.description,
        )
    Console().print(table)


@app.command(epilog=example("check --data isic-2024/", "check --data isic-2024/ --recipe fusionnetx"))
def check(data: DataOption = None, recipe: RecipeOption = "demo", set_: SetOption = None) -> None:
    """Validate a data folder and print what it holds, before any long work. Without --data: the synthetic cohort."""
    from pipeline.stages.check import run_check

    chosen = load_recipe(recipe, set_ or ())
    space = workspace(chosen, run_path(recipe, None), data)
    with space.display.listening():
        if not run_check(space):
            raise typer.Exit(2)


@app.command("demo-data", epilog=example("demo-data", "demo-data --set data.synthetic.lesions=401059"))
def demo_data(recipe: RecipeOption = "demo", set_: SetOption = None) -> None:
    """Write the recipe's synthetic cohort, in exactly the files Kaggle publishes."""
    space = workspace(load_recipe(recipe, set_ or ()), run_path(recipe, None), None)
    with space.display.listening():
        space.display.say(f"synthetic cohort: {space.source_dir}")


@app.command(epilog=example("oof", "oof --recipe fusionnetx --data isic-2024/", "oof --dry-run"))
def oof(
    recipe: RecipeOption = "demo",
    data: DataOption = None,
    run: RunOption = None,
    set_: SetOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the jobs, sizes and exact schedules; train nothing.")
    ] = False,
    tensorboard: TensorBoardOption = False,
) -> None:
    """Stage one: train every image model by fold and write out-of-fold probabilities."""
    from pipeline.stages.oof import run_oof
    from pipeline.stages.plan import print_plan

    with open_workspace(recipe, data, run, set_, tensorboard=tensorboard, record=not dry_run) as space:
        (print_plan if dry_run else run_oof)(space)


@app.command(
    epilog=example("tabular", "tabular --set tabular.blend.method=rank_mean", "tabular --set tabular.tune.trials=50")
)
def tabular(
    recipe: RecipeOption = "demo",
    data: DataOption = None,
    run: RunOption = None,
    set_: SetOption = None,
    storage: StorageOption = None,
    tensorboard: TensorBoardOption = False,
) -> None:
    """Stage two: engineer features, train the boosters by fold, blend them out of fold."""
    from pipeline.stages.oof import run_oof
    from pipeline.stages.tabular import run_tabular

    with open_workspace(recipe, data, run, set_, storage=storage, tensorboard=tensorboard) as space:
        run_oof(space)
        run_tabular(space)


@app.command(epilog=example("submission", "submission --recipe fusionnetx --data isic-2024/ --run first_try"))
def submission(
    recipe: RecipeOption = "demo",
    data: DataOption = None,
    run: RunOption = None,
    set_: SetOption = None,
    storage: StorageOption = None,
    tensorboard: TensorBoardOption = False,
) -> None:
    """Run whatever is missing, write submission.csv and say what it scored."""
    from pipeline.stages.oof import run_oof
    from pipeline.stages.submission import run_submission
    from pipeline.stages.tabular import run_tabular

    with open_workspace(recipe, data, run, set_, storage=storage, tensorboard=tensorboard) as space:
        run_oof(space)
        run_tabular(space)
        run_submission(space)


@app.command(epilog=example("report", "report --run first_try"))
def report(
    recipe: RecipeOption = "demo", data: DataOption = None, run: RunOption = None, set_: SetOption = None
) -> None:
    """Write report.html of a finished run: one self-contained file."""
    from pipeline.report.build import run_report

    with open_workspace(recipe, data, run, set_) as space:
        run_report(space)


@app.command(epilog=example("weights --recipe fusionnetx"))
def weights(recipe: RecipeOption = "demo", set_: SetOption = None) -> None:
    """Fetch the pretrained weights a recipe needs into weights/, for machines without internet later."""
    from pipeline.stages.weights import run_weights

    space = workspace(load_recipe(recipe, set_ or ()), run_path(recipe, None), None)
    with space.display.listening():
        run_weights(space)


@app.command(
    epilog=example("features", "features --describe", "features --describe --recipe fusionnetx --data isic-2024/")
)
def features(
    describe: Annotated[
        bool, typer.Option("--describe", help="Print each feature: family, formula, unit, missing share.")
    ] = False,
    recipe: RecipeOption = "demo",
    data: DataOption = None,
    run: RunOption = None,
    set_: SetOption = None,
) -> None:
    """Print the feature families of a recipe, or with --describe every feature."""
    from pipeline.stages.describe import print_families, print_features

    space = workspace(load_recipe(recipe, set_ or ()), run_path(recipe, run), data)
    with space.display.listening():
        (print_features if describe else print_families)(space)


@app.command(
    "show-augmentations", epilog=example("show-augmentations --out sheet.png", "show-augmentations --model vit_tiny")
)
def show_augmentations(
    out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("augmentations.png"),
    model: Annotated[str | None, typer.Option(help="Image model of the recipe; default: the first.")] = None,
    recipe: RecipeOption = "demo",
    data: DataOption = None,
    run: RunOption = None,
    set_: SetOption = None,
) -> None:
    """Write a contact sheet: lesions, and what training sees of them."""
    from pipeline.stages.augmentations import write_sheet

    space = workspace(load_recipe(recipe, set_ or ()), run_path(recipe, run), data)
    with space.display.listening():
        write_sheet(space, model, out)


@app.command(epilog=example("predict --run runs/demo --metadata new.csv --images new-images/ --out predictions.csv"))
def predict(
    metadata: Annotated[Path, typer.Option(help="CSV shaped like test-metadata.csv.")],
    images: Annotated[Path, typer.Option(help="A folder of images named by lesion id, or an HDF5 file of JPEGs.")],
    out: Annotated[Path, typer.Option(help="The CSV to write: lesion id and probability.")],
    run: Annotated[str, typer.Option("--run", help="Name or path of a finished run.")] = "demo",
) -> None:
    """Predict new patients with a finished run; no training data needed."""
    from pipeline.stages.predict import run_predict

    run_dir = run_path(run, None) if "/" not in run else Path(run)
    recipe_path = run_dir / "recipe.toml"
    if not recipe_path.is_file():
        raise FusionNetXError(f"{run_dir} is not a run folder: it has no recipe.toml; name a finished run with --run")
    space = workspace(load_recipe(str(recipe_path)), run_dir, None)
    with space.display.listening():
        run_predict(space, metadata, images, out)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; the user's mistakes become one message and exit code 2."""
    sys.exit(guarded(lambda: app(args=arguments, standalone_mode=True)))


def guarded(command: Callable[[], object]) -> int:
    """Run a command and turn its end into an exit code."""
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        command()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(bool(stop.code))
    except FusionNetXError as error:
        errors.print("[red]error:[/red]", end=" ")
        errors.print(str(error), markup=False)
        return 2
    except OSError as error:
        # A full disk or a folder that cannot be written: the user's to mend, and nothing is half-written.
        errors.print("[red]error:[/red]", end=" ")
        errors.print(f"{error.filename or 'a file'}: {error.strerror or error}", markup=False)
        return 2
    except (Interrupted, KeyboardInterrupt) as stop:
        errors.print("stopped; the same command goes on from here")
        return stop.exit_code if isinstance(stop, Interrupted) else 130
    return 0


if __name__ == "__main__":
    main()
