"""Verbs that show: the report, the features, what training sees of an image."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import (
    DataOption,
    RecipeOption,
    RunOption,
    SetOption,
    example,
    open_workspace,
    run_path,
    workspace,
)  # fmt: skip
from pipeline.recipe import load_recipe

commands = typer.Typer()


@commands.command(epilog=example("report", "report --run first_try"))
def report(
    recipe: RecipeOption = "demo", data: DataOption = None, run: RunOption = None, set_: SetOption = None
) -> None:
    """Write report.html of a finished run: one self-contained file."""
    from pipeline.report.build import run_report

    with open_workspace(recipe, data, run, set_) as space:
        run_report(space)


@commands.command(epilog=example("ablation", "ablation --only metadata_simple", "ablation --run first_try"))
def ablation(
    recipe: RecipeOption = "demo",
    data: DataOption = None,
    run: RunOption = None,
    set_: SetOption = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Make only this row (and the full run). Repeatable.")
    ] = None,
) -> None:
    """Say what each part of a run brings: stage two again without it, image models as they are."""
    from pipeline.ablation.study import run_ablation

    with open_workspace(recipe, data, run, set_) as space:
        run_ablation(space, only or ())


@commands.command(
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
    from pipeline.steps.describe import print_families, print_features

    space = workspace(load_recipe(recipe, set_ or ()), run_path(recipe, run), data)
    with space.display.listening():
        (print_features if describe else print_families)(space)


@commands.command(
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
    from pipeline.steps.augmentations import write_sheet

    space = workspace(load_recipe(recipe, set_ or ()), run_path(recipe, run), data)
    with space.display.listening():
        write_sheet(space, model, out)
