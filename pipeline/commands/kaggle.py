"""Verbs for the code competition: bundle a finished run for Kaggle, and what its notebook calls there."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import ExistingRunOption, example
from pipeline.kaggle.wheels import LACKING

commands = typer.Typer()


@commands.command(epilog=example("kaggle --run fusionnetx --user you", "kaggle --run demo --no-download"))
def kaggle(
    run: ExistingRunOption = "demo",
    out: Annotated[Path, typer.Option(help="The folder to write.")] = Path("kaggle"),
    user: Annotated[str, typer.Option(help="Your name on Kaggle, part of the names of data set and notebook.")] = "you",
    competition: Annotated[str, typer.Option(help="The competition's name in its address.")] = "isic-2024-challenge",
    lacking: Annotated[list[str], typer.Option(help="Requirements that Kaggle's image lacks. Repeatable.")] = list(  # noqa: B006
        LACKING
    ),
    download: Annotated[bool, typer.Option(help="Fetch the wheels of what is lacking.")] = True,
) -> None:
    """Write a folder for an offline code-competition run: models, wheels, notebook; and estimate what it will take."""
    from pipeline.actions.opening import existing_run, surroundings
    from pipeline.kaggle.bundle import run_kaggle

    found, here = existing_run(run), surroundings()
    with here.display.listening():
        run_kaggle(found, here, out, user=user, competition=competition, lacking=lacking, download=download)


@commands.command(epilog=example("submit --run runs/fusionnetx --data isic-2024/ --out submission.csv"))
def submit(
    data: Annotated[Path, typer.Option("--data", "-d", help="Kaggle's folder; only its test files are read.")],
    run: ExistingRunOption = "demo",
    out: Annotated[Path, typer.Option(help="The CSV to write.")] = Path("submission.csv"),
) -> None:
    """Predict the competition's test lesions with a finished run and write submission.csv; no training data needed."""
    from pipeline.actions.opening import existing_run, surroundings
    from pipeline.kaggle.submit import run_submit

    found, here = existing_run(run), surroundings()
    with here.display.listening():
        run_submit(found, here, data, out)
