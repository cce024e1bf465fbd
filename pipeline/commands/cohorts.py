"""Verbs about what a run starts from: recipes, data folders, the synthetic cohort, pretrained weights."""

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
