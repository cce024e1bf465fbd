"""Verbs about what a run starts from: recipes, data folders, published data, the synthetic cohort,
pretrained weights, and the cache."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.actions.wanted import Wanted
from pipeline.commands.options import DataOption, RecipeOption, SetOption, example

commands = typer.Typer()


@commands.command(epilog=example("recipes"))
def recipes() -> None:
    """List the recipes that come with the project."""
    from rich.console import Console
    from rich.table import Table

    from pipeline.recipe import load_recipe, shipped_recipes
    from pipeline.tables import print_table

    table = Table("recipe", "image models", "members", "what it is", title="Shipped recipes")
    for name in shipped_recipes():
        recipe = load_recipe(name)
        table.add_row(
            name,
            "\n".join(model.name for model in recipe.image_models) or "none",
            "\n".join(member.name for member in recipe.tabular.members) or "none",
            recipe.description,
        )
    print_table(Console(), table)


@commands.command(
    epilog=example(
        "init clinic/lesions.csv clinic/photos --target diagnosis",
        "init clinic/lesions.xlsx clinic/photos --target diagnosis --group patient --positive melanoma --yes",
        "init clinic/lesions.csv --target malignant",
    )
)
def init(
    table: Annotated[Path, typer.Argument(help="The table: CSV (any separator and encoding), .xlsx or parquet.")],
    images: Annotated[
        Path | None, typer.Argument(help="Folder, .zip or HDF5 file of the images, if there are any.")
    ] = None,
    target: Annotated[str, typer.Option(help="Column with the answer.")] = ...,  # type: ignore[assignment]
    group: Annotated[
        str | None, typer.Option(help="Column of the patient, whose rows stay in one fold; '' if there is none.")
    ] = None,
    lesion: Annotated[str | None, typer.Option(help="Column that names each row.")] = None,
    positive: Annotated[
        list[str] | None, typer.Option(help="An answer that is positive, all others being negative. Repeatable.")
    ] = None,
    forbid: Annotated[
        list[str] | None, typer.Option(help="A column that is known only with the answer. Repeatable.")
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option(help="A column to use although it nearly gives the answer away. Repeatable.")
    ] = None,
    sheet: Annotated[str, typer.Option(help="Sheet of a workbook. Default: the first.")] = "",
    decimal: Annotated[
        str, typer.Option(help="The decimal mark, '.' or ',', where the table can be read both ways.")
    ] = "",
    out: Annotated[Path | None, typer.Option(help="The recipe to write. Default: <name of the table>.toml")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Take the guesses instead of asking.")] = False,
) -> None:
    """Write a recipe for a table of your own: what its columns are, leaks, folds, a network that fits this machine."""
    from data.own.proposal import Said
    from pipeline.actions.init import form_of, run_init
    from pipeline.actions.opening import surroundings

    said = Said(target, group, lesion, tuple(positive or ()), tuple(forbid or ()), tuple(keep or ()))
    runtime = surroundings()
    with runtime.display.listening():
        run_init(table, images, said, form_of(sheet, decimal), out, runtime, yes=yes)


@commands.command(epilog=example("check --data isic-2024/", "check --data isic-2024/ --recipe fusionnetx"))
def check(data: DataOption = None, recipe: RecipeOption = None, set_: SetOption = None) -> None:
    """Validate a data folder and print what it holds, before any long work. Without --data: the synthetic cohort."""
    from pipeline.actions.check import run_check
    from pipeline.actions.opening import ahead

    inputs, runtime = ahead(Wanted(recipe, data=data, changes=set_ or ()))
    with runtime.display.listening():
        if not run_check(inputs, runtime):
            raise typer.Exit(2)


@commands.command("demo-data", epilog=example("demo-data", "demo-data --set data.synthetic.lesions=401059"))
def demo_data(recipe: RecipeOption = None, set_: SetOption = None) -> None:
    """Write the recipe's synthetic cohort, in exactly the files Kaggle publishes."""
    from pipeline.actions.opening import ahead

    inputs, runtime = ahead(Wanted(recipe, changes=set_ or ()))
    with runtime.display.listening():
        runtime.display.say(f"synthetic cohort: {inputs.source_dir}")


@commands.command(epilog=example("weights --recipe fusionnetx"))
def weights(recipe: RecipeOption = None, set_: SetOption = None) -> None:
    """Fetch the pretrained weights a recipe needs into weights/, for machines without internet later."""
    from pipeline.actions.opening import ahead
    from pipeline.actions.weights import run_weights

    inputs, runtime = ahead(Wanted(recipe, changes=set_ or ()))
    with runtime.display.listening():
        run_weights(inputs.run.recipe, runtime)


@commands.command(
    epilog=example(
        "data isic2024",
        "data ham10000",
        "data isic2024 --permissive --out isic-permissive/",
        "data isic2024 --part 1/10",
    )
)
def data(
    name: Annotated[str, typer.Argument(help="The data set, by the name of its reader: isic2024, ham10000.")],
    permissive: Annotated[
        bool, typer.Option("--permissive", help="Only what may be used commercially too (CC BY 4.0; about half).")
    ] = False,
    part: Annotated[
        str | None,
        typer.Option("--part", metavar="K/N", help="Only the K-th of N parts of the images, with their rows."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write to. Default: isic-2024, named after edition and part.")
    ] = None,
) -> None:
    """Fetch a published data set, without an account; a broken connection goes on where it stopped."""
    from pipeline.actions.fetch_data import fetch_data
    from pipeline.display import Display

    display = Display()
    with display.listening():
        fetch_data(name, display, permissive=permissive, part=part, out=out)


@commands.command(epilog=example("cache", "cache --clear", "cache --clear synthetic-0123abcd"))
def cache(
    names: Annotated[list[str] | None, typer.Argument(help="Entries to remove, with --clear; none: all.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Remove instead of listing.")] = False,
) -> None:
    """List what the cache holds (packed images, synthetic cohorts), or clear it; all is made again when needed.

    What killed commands left in the system's temporary folder is listed and cleared, too.
    """
    from pipeline.actions.cache import clear_cache, print_cache
    from pipeline.display import Display
    from pipeline.runtime import cache_folder

    if names and not clear:
        raise typer.BadParameter("to remove what is named, give --clear")
    if clear:
        clear_cache(cache_folder(), names or [], Display())
    else:
        print_cache(cache_folder(), Display())
