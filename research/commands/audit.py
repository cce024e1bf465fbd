"""The verb that looks for leaks."""

from typing import Annotated

import typer

from pipeline.commands.options import DataOption, RecipeOption, RunOption, SetOption, example, open_workspace

commands = typer.Typer()


@commands.command(epilog=example("audit", "audit --draws 10", "audit --recipe fusionnetx --data isic-2024/"))
def audit(
    recipe: RecipeOption = "demo",
    data: DataOption = None,
    run: RunOption = None,
    set_: SetOption = None,
    draws: Annotated[int, typer.Option(help="Deals of the labels that the whole pipeline is run on.")] = 3,
    mutations: Annotated[
        bool, typer.Option("--mutations/--no-mutations", help="Plant known leaks, one at a time, to test the audit.")
    ] = True,
) -> None:
    """Look for leaks: exact checks, null test, planted leaks, copies, drift. Exit code 1 when something failed."""
    from pipeline.audit.audit import run_audit
    from research.planted.mutations import planted_leaks

    with open_workspace(recipe, data, run, set_, record=False) as space:
        if not run_audit(space, draws=draws, planted=planted_leaks if mutations else None):
            raise typer.Exit(1)
