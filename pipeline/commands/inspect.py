"""Verbs that show: a run's plan, the report, the features, what training sees of an image."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.actions.wanted import Wanted
from pipeline.commands.options import (
    DataOption,
    ExecutorOption,
    ExistingRunOption,
    MovedDataOption,
    RecipeOption,
    RunOption,
    SetOption,
    example,
    looking,
    reading,
)

commands = typer.Typer()


@commands.command(epilog=example("plan", "plan --run first_try", "plan --run first_try --json"))
def plan(
    run: ExistingRunOption = "demo",
    dot: Annotated[bool, typer.Option("--dot", help="Print the graph for Graphviz.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print every step as JSON.")] = False,
) -> None:
    """Print the steps of a run as a tree: which are done, stale (and why) or missing, and the seconds they take."""
    from pipeline.actions.opening import existing_run
    from pipeline.actions.show_plan import plan_dot, plan_json, print_plan
    from pipeline.display import Display

    if dot and json:
        raise typer.BadParameter("--dot and --json: choose one")
    found, display = existing_run(run), Display()
    if dot or json:
        typer.echo((plan_dot if dot else plan_json)(found))
    else:
        print_plan(found, display)


@commands.command(epilog=example("runs"))
def runs() -> None:
    """List the runs under runs/ with their recipes, data and scores."""
    from pipeline.actions.list_runs import print_runs
    from pipeline.display import Display

    print_runs(Path("runs"), Display())


@commands.command(epilog=example("report", "report --run first_try"))
def report(run: ExistingRunOption = "demo", data: MovedDataOption = None) -> None:
    """Write report.html of a finished run: one self-contained file."""
    from pipeline.report.build import run_report

    with looking(run, data) as (inputs, runtime):
        run_report(inputs, runtime)


@commands.command(epilog=example("ablation", "ablation --only metadata_simple", "ablation --run first_try"))
def ablation(
    run: ExistingRunOption = "demo",
    data: MovedDataOption = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Make only this row (and the full run). Repeatable.")
    ] = None,
) -> None:
    """Say what each part of a run brings: stage two again without it, image models as they are."""
    from pipeline.ablation.study import run_ablation

    with looking(run, data) as (inputs, runtime):
        run_ablation(inputs, runtime, only or ())


@commands.command(epilog=example("repeat --splits 5", "repeat --run first_try --splits 3 --seeds 2 --executor ray"))
def repeat(
    run: ExistingRunOption = "demo",
    data: MovedDataOption = None,
    splits: Annotated[
        int | None, typer.Option(min=1, help="Divisions of the patients; default: the recipe's folds.repeats.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Training seeds on each; default: the recipe's folds.training_seeds.")
    ] = None,
    executor: ExecutorOption = "local",
) -> None:
    """Cross-validate a run again on other folds and seeds; the spread of its scores, and which gains are more."""
    from pipeline.repeats import run_repeats

    with looking(run, data, executor=executor) as (inputs, runtime):
        run_repeats(inputs, runtime, splits, seeds)


@commands.command(
    epilog=example(
        "features",
        "features --describe",
        "features --describe --recipe fusionnetx --data isic-2024/",
        "features --table large.csv --out large-features/",
    )
)
def features(
    describe: Annotated[
        bool, typer.Option("--describe", help="Print each feature: family, formula, unit, missing share.")
    ] = False,
    table: Annotated[
        Path | None, typer.Option(help="Write the features of this CSV file instead, in batches that fit in memory.")
    ] = None,
    out: Annotated[Path, typer.Option(help="With --table: the folder of Parquet files to write.")] = Path(
        "features-out"
    ),
    rows: Annotated[int, typer.Option(min=1, help="With --table: about so many rows at a time.")] = 250_000,
    recipe: RecipeOption = None,
    data: DataOption = None,
    run: RunOption = None,
    set_: SetOption = None,
) -> None:
    """Print the feature families of a recipe, with --describe every feature; or write those of a large table."""
    from pipeline.actions.describe import print_families, print_features

    with reading(Wanted(recipe, run, data, set_ or ())) as (inputs, runtime):
        if table is not None:
            from pipeline.actions.describe import write_feature_files

            write_feature_files(inputs.run.recipe, runtime, table, out, rows)
            return
        (print_features if describe else print_families)(inputs, runtime)


@commands.command(
    "show-augmentations", epilog=example("show-augmentations --out sheet.png", "show-augmentations --model vit_tiny")
)
def show_augmentations(
    out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("augmentations.png"),
    model: Annotated[str | None, typer.Option(help="Image model of the recipe; default: the first.")] = None,
    recipe: RecipeOption = None,
    data: DataOption = None,
    run: RunOption = None,
    set_: SetOption = None,
) -> None:
    """Write a contact sheet: lesions, and what training sees of them."""
    from pipeline.actions.sheets import write_sheet

    with reading(Wanted(recipe, run, data, set_ or ())) as (inputs, runtime):
        write_sheet(inputs, runtime, model, out)


@commands.command(
    "show-cleaning",
    epilog=example('show-cleaning --recipe ham10000 --data HAM10000/ --set \'data.clean=["hair", "colour"]\''),
)
def show_cleaning(
    out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("cleaning.png"),
    recipe: RecipeOption = None,
    data: DataOption = None,
    run: RunOption = None,
    set_: SetOption = None,
) -> None:
    """Write a sheet of pictures before and after hair, colour cast and uneven contrast are taken out."""
    from pipeline.actions.sheets import write_cleaning_sheet

    with reading(Wanted(recipe, run, data, set_ or ())) as (inputs, runtime):
        write_cleaning_sheet(inputs, runtime, out)
