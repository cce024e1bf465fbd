"""Verbs about how far a run's score holds: by inputs, at other clinics, with worse inputs, on other data."""

from typing import Annotated

import typer

from pipeline.commands.options import ExistingRunOption, MovedDataOption, example, looking

commands = typer.Typer()


@commands.command(
    epilog=example(
        "evidence",
        "evidence --run first_try --clinics --by attribution",
        "evidence --robustness",
        "evidence --all",
    )
)
def evidence(
    run: ExistingRunOption = "demo",
    data: MovedDataOption = None,
    inputs: Annotated[
        bool, typer.Option("--inputs", help="Ten variants of inputs by five scores (what is made without a choice).")
    ] = False,
    clinics: Annotated[
        bool, typer.Option("--clinics", help="Hold out each institution whole, training all models without it.")
    ] = False,
    robustness: Annotated[
        bool,
        typer.Option("--robustness", help="Worse pictures, missing columns, on held-out folds; trains nothing."),
    ] = False,
    shuffled: Annotated[
        bool, typer.Option("--shuffled", help="The variants on labels dealt to other patients: chance in every cell.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="All of these.")] = False,
    by: Annotated[str, typer.Option("--by", help="With --clinics: the column that names the institution.")] = (
        "attribution"
    ),
) -> None:
    """Say what a run's score rests on and whether it holds: by inputs, at unseen clinics, with worse inputs."""
    from pipeline.evidence.run import MADE, run_evidence

    asked = {"inputs": inputs, "clinics": clinics, "robustness": robustness, "shuffled": shuffled}
    parts = [part for part in MADE if every or asked[part]] or ["inputs"]
    with looking(run, data) as (opened, runtime):
        run_evidence(opened, runtime, parts, by)
