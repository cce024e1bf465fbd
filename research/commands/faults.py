"""The verb that kills a run again and again, to see what it loses."""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import RecipeOption, SetOption, example

commands = typer.Typer()

SMALL = (
    "data.synthetic.lesions=600", "data.synthetic.test_lesions=150", "folds.count=3", "tabular.tune.trials=2",
    'tabular.tune.members=["lightgbm"]', "tabular.tune.reestimate_seeds=[1]", "resources.image_models_at_once=2",
)  # fmt: skip
"""The demo with every stage, tuning included, small enough for some fifty runs; image models in two processes."""


def made_small() -> list[str]:
    """The changes that make the shipped demo small, whatever models and members it has."""
    from pipeline.recipe import load_recipe

    recipe = load_recipe("demo")
    models = [f"image_models[{model.name}].epochs=2" for model in recipe.image_models]
    # The first saves its state at every step, so that kills fall between.
    models.append(f"image_models[{recipe.image_models[0].name}].checkpoint_seconds=0.001")
    return [*SMALL, *models, *(f"tabular.members[{member.name}].iterations=20" for member in recipe.tabular.members)]


@commands.command(
    epilog=example("faults", "faults --kills 100 --seed 1", "faults --recipe pipeline/recipes/demo.toml --kills 10")
)
def faults(
    kills: Annotated[int, typer.Option(min=1, help="Runs to kill, each once.")] = 25,
    in_a_row: Annotated[int, typer.Option(min=0, help="Kills of one further run, one after the other.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Chooses the moments.")] = 0,
    recipe: RecipeOption = None,
    set_: SetOption = None,
    scratch: Annotated[Path | None, typer.Option(help="Folder to work in; default: a temporary one.")] = None,
) -> None:
    """Kill a run at many moments, let it go on, and compare what it leaves with an uninterrupted run's.

    The shipped demo is made smaller, with every stage; another recipe is taken as it is.
    """
    from pipeline.display import Display
    from research.kills.campaign import Campaign

    changes = [*(made_small() if recipe in (None, "demo") else ()), *(set_ or ())]
    options = ["--recipe", recipe or "demo", *(word for change in changes for word in ("--set", change))]
    folder = Path(tempfile.mkdtemp(prefix="fusionnetx-faults-")) if scratch is None else scratch.absolute()
    display = Display()
    with display.listening():
        whole = Campaign(("fusionnetx", "submission", *options), folder, display).run(kills, in_a_row, seed)
    if not whole:
        display.say(f"what was left is in {folder}")
        raise typer.Exit(1)
    if scratch is None:
        shutil.rmtree(folder)
