"""Verbs about how far a run's score holds: by inputs, at other clinics, with worse inputs, on other data."""

from pathlib import Path
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


@commands.command(
    epilog=example(
        "evaluate --run first_try --data clinic-b/",
        "evaluate --run first_try --data photos/ --positive mel --positive bcc",
        "evaluate --run first_try --data ham10000/ --recipe ham10000 --map age=age_approx",
    )
)
def evaluate(
    data: Annotated[
        Path, typer.Option("--data", "-d", help="Folder of labelled lesions; with labels.csv, of pictures and names.")
    ],
    run: ExistingRunOption = "demo",
    recipe: Annotated[
        str | None, typer.Option("--recipe", "-r", help=r"A recipe whose \[data] reads the folder. Default: the run's.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="The table of picture names and answers below the folder. Default: labels.csv.")
    ] = None,
    map_: Annotated[
        list[str] | None, typer.Option("--map", help="Their column for one of the run's: THEIRS=OURS. Repeatable.")
    ] = None,
    positive: Annotated[
        list[str] | None, typer.Option(help="A class of theirs that counts as positive. Repeatable.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What these data are called. Default: the folder's name.")] = None,
) -> None:
    """Score a finished run on other labelled lesions with frozen models: scores, calibration, thresholds, groups."""
    from data.errors import DataError
    from pipeline.evidence.evaluate import run_evaluate
    from pipeline.evidence.other_data import Elsewhere

    pairs = [one.partition("=") for one in map_ or ()]
    if wrong := next((one for one, (theirs, sign, ours) in zip(map_ or (), pairs, strict=True) if not ours), None):
        raise DataError(f"--map {wrong}: give THEIRS=OURS, for instance age=age_approx")
    if recipe is not None and labels is not None:
        raise DataError("--recipe and --labels are two ways to read the folder; choose one")
    renamed = {theirs: ours for theirs, _, ours in pairs}
    with looking(run) as (inputs, runtime):
        run_evaluate(inputs.run, runtime, Elsewhere(data, recipe, labels, renamed, tuple(positive or ())), name)
