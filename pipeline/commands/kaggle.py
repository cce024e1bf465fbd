"""Verbs for the code competition: bundle a finished run for Kaggle, and what its notebook calls there."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import example, finished_run
from pipeline.kaggle.wheels import LACKING

commands = typer.Typer()

FinishedRun = Annotated[str, typer.Option("--run", help="Name or path of a finished run.")]


@commands.command(epilog=example("kaggle --run fusionnetx --user you", "kaggle --run demo --no-download"))
def kaggle(
    run: FinishedRun = "demo",
    out: Annotated[Path, typer.Option(help="The folder to write.")] = Path("kaggle"),
    user: Annotated[str, typer.Option(help="Your name on Kaggle, part of the names of data set and notebook.")] = "you",
    competition: Annotated[str, typer.Option(help="The competition's name in its address.")] = "isic-2024-challenge",
    lacking: Annotated[list[str], typer.Option(help="Requirements that Kaggle's image lacks. Repeatable.")] = list(  # noqa: B006
        LACKING
    ),
    download: Annotated[bool, typer.Option(help="Fetch the wheels of what is lacking.")] = True,
) -> None:
    """Write a folder for an offline code-competition run: models, wheels, notebook; and estimate what it will take."""
    from pipeline.kaggle.bundle import run_kaggle

    space = finished_run(run)
    with space.display.listening():
        run_kaggle(space, out, user=user, competition=competition, lacking=lacking, download=download)


@commands.command(epilog=example("submit --run runs/fusionnetx --data isic-2024/ --out submission.csv"))
def submit(
    data: Annotated[Path, typer.Option("--data", "-d", help="Kaggle's folder; only its test files are read.")],
    run: FinishedRun = "demo",
    out: Annotated[Path, typer.Option(help="The CSV to write.")] = Path("submission.csv"),
) -> None:
    """Predict the competition's test lesions with a finished run and write submission.csv; no training data needed."""
    from pipeline.kaggle.submit import run_submit

    space = finished_run(run)
    with space.display.listening():
        run_submit(space, data, out)
