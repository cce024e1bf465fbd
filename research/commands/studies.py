"""Verbs that study the pipeline: kill a run again and again, look for leaks; and the list of published systems."""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import ExistingRunOption, MovedDataOption, RecipeOption, SetOption, example, looking

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
    from research.kills.faults import Campaign

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


@commands.command(epilog=example("audit", "audit --run first_try --draws 10", "audit --run isic --data isic-2024/"))
def audit(
    run: ExistingRunOption = "demo",
    data: MovedDataOption = None,
    draws: Annotated[int, typer.Option(help="Deals of the labels that the whole pipeline is run on.")] = 3,
    mutations: Annotated[
        bool, typer.Option("--mutations/--no-mutations", help="Plant known leaks, one at a time, to test the audit.")
    ] = True,
) -> None:
    """Look for leaks in a run: exact checks, null test, planted leaks, copies, drift. Exit code 1 when one failed."""
    with looking(run, data) as (inputs, runtime):
        from pipeline.audit.audit import run_audit
        from research.planted.mutations import planted_leaks

        if not run_audit(inputs, runtime, draws=draws, planted=planted_leaks if mutations else None):
            raise typer.Exit(1)


@commands.command(epilog=example("systems"))
def systems() -> None:
    """List the published systems: source, data, published figure, parameters, recipe."""
    import shutil
    import textwrap

    from research.systems.registry import SOURCES, SYSTEMS

    width = shutil.get_terminal_size().columns

    def say(text: str, indent: int) -> None:
        typer.echo(textwrap.fill(text, width, initial_indent=" " * indent, subsequent_indent=" " * indent))

    for source, text in SOURCES.items():
        typer.secho(f"{source}  {text}", bold=True)
        for system in (system for system in SYSTEMS if system.source == source):
            typer.secho(f"  {system.name}", fg="cyan")
            say(f"{system.title}; {system.parameters:,} parameters; recipe {system.recipe}", 6)
            for data_set, figures in system.published.items():
                stated = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in figures.items())
                say(f"published on {data_set}: {stated or 'no figure'}", 6)
        typer.echo()
    say("Parameters: for seven classes and HAM10000's age, sex and site.", 0)
    say("`fusionnetx compare --recipe ...` runs them.", 0)
