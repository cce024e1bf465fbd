"""Verbs about what a run starts from: recipes, data folders, the synthetic cohort, pretrained weights."""

import typer
from rich.console import Console
from rich.table import Table

from pipeline.commands.options import DataOption, RecipeOption, SetOption, example, run_path, workspace
from pipeline.recipe import load_recipe, shipped_recipes

commands = typer.Typer()


@commands.command(epilog=example("recipes"))
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


@commands.command(epilog=example("check --data isic-2024/", "check --data isic-2024/ --recipe fusionnetx"))
def check(data: DataOption = None, recipe: RecipeOption = "demo", set_: SetOption = None) -> None:
    """Validate a data folder and print what it holds, before any long work. Without --data: the synthetic cohort."""
    from pipeline.steps.check import run_check

    chosen = load_recipe(recipe, set_ or ())
    space = workspace(chosen, run_path(recipe, None), data)
    with space.display.listening():
        if not run_check(space):
            raise typer.Exit(2)


@commands.command("demo-data", epilog=example("demo-data", "demo-data --set data.synthetic.lesions=401059"))
def demo_data(recipe: RecipeOption = "demo", set_: SetOption = None) -> None:
    """Write the recipe's synthetic cohort, in exactly the files Kaggle publishes."""
    space = workspace(load_recipe(recipe, set_ or ()), run_path(recipe, None), None)
    with space.display.listening():
        space.display.say(f"synthetic cohort: {space.source_dir}")


@commands.command(epilog=example("weights --recipe fusionnetx"))
def weights(recipe: RecipeOption = "demo", set_: SetOption = None) -> None:
    """Fetch the pretrained weights a recipe needs into weights/, for machines without internet later."""
    from pipeline.steps.weights import run_weights

    space = workspace(load_recipe(recipe, set_ or ()), run_path(recipe, None), None)
    with space.display.listening():
        run_weights(space)
