"""Verbs for a run that leaves the machine that trained it: for Kaggle, its card, and a folder that predicts."""

from pathlib import Path
from typing import Annotated

import typer

from data.errors import DataError
from pipeline.commands.options import ExistingRunOption, MovedDataOption, example, looking
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


@commands.command(
    epilog=example(
        "export --run demo --out demo-export",
        "export --run demo --onnx --out demo-onnx",
        "export --run demo --onnx --int8 --out demo-int8",
    )
)
def export(
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    run: ExistingRunOption = "demo",
    data: MovedDataOption = None,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Write networks as ONNX: no torch is needed to predict.")
    ] = False,
    half: Annotated[bool, typer.Option("--half", help="With --onnx: image branches in half precision.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="With --onnx: weights as whole numbers of eight bits.")] = False,
) -> None:
    """Write a folder that `fusionnetx predict --run FOLDER` takes anywhere, and say what networks lost on the way."""
    from pipeline.export.package import Form, run_export

    if half and int8:
        raise DataError("--half and --int8 exclude each other: choose one")
    if (half or int8) and not onnx:
        raise DataError("--half and --int8 are forms of ONNX files: give --onnx as well")
    form: Form = "half" if half else "int8" if int8 else "onnx" if onnx else "weights"
    with looking(run, data) as (inputs, runtime):
        run_export(inputs, runtime, out, form)


@commands.command(epilog=example("card --run demo"))
def card(run: ExistingRunOption = "demo", data: MovedDataOption = None) -> None:
    """Write a model card (Markdown and a page), a bill of materials and a description of the data."""
    from pipeline.card.build import run_card

    with looking(run, data) as (inputs, runtime):
        run_card(inputs, runtime)
