"""The verb that looks for leaks."""

from typing import Annotated

import typer

from pipeline.commands.options import ExistingRunOption, MovedDataOption, example, looking

commands = typer.Typer()


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
