"""Verbs that show lesions: a sheet per lesion, and the page."""

from pathlib import Path
from typing import Annotated

import typer

from data.errors import DataError
from pipeline.commands.options import ExistingRunOption, MovedDataOption, example, looking

commands = typer.Typer()


@commands.command(
    epilog=example(
        "explain --lesion ISIC_2826547",
        "explain --run first_try --lesion ISIC_2826547 --lesion ISIC_3157282 --model lesion_net",
        "explain --run first_try --data isic-2024/ --lesion ISIC_2826547 --out sheets/",
        "explain --run first_try --lesion NEW_1 --metadata new.csv --images new-images/",
    )
)
def explain(
    lesion: Annotated[list[str], typer.Option("--lesion", help="Id of a lesion. Repeatable.")],
    run: ExistingRunOption = "demo",
    data: MovedDataOption = None,
    model: Annotated[
        list[str] | None, typer.Option("--model", help="Explain only this image model. Repeatable.")
    ] = None,
    class_: Annotated[
        str | None,
        typer.Option("--class", help="Class to explain. Default: malignant of two, the most probable of more."),
    ] = None,
    metadata: Annotated[
        Path | None, typer.Option("--metadata", help="Table of new lesions, as predict takes it; else the run's own.")
    ] = None,
    images: Annotated[Path | None, typer.Option("--images", help="Images of the new lesions.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the sheets. Default: <run>/explain.")] = None,
) -> None:
    """Say what a run's answer about a lesion rests on: heat maps, metadata, boosters; one HTML sheet each."""
    from pipeline.explain.build import run_explain

    if images is not None and metadata is None:
        raise DataError("--images without --metadata: give the table of the new lesions as well")
    with looking(run, data) as (inputs, runtime):
        run_explain(
            inputs,
            runtime,
            lesion,
            models=model or (),
            class_name=class_,
            metadata_path=metadata,
            images_path=images,
            out=out,
        )


@commands.command(epilog=example("page", "page --run first_try", "page --run first_try --port 8642 --no-browser"))
def page(
    run: ExistingRunOption = "demo",
    data: MovedDataOption = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1. Default: any that is free.")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
) -> None:
    """Look at a run's patients in a browser, on this machine alone (needs the extra `page`)."""
    from pipeline.actions.opening import existing_run, surroundings
    from pipeline.inputs import Inputs

    try:
        from pipeline.page.serve import run_page
    except ModuleNotFoundError as error:
        raise DataError(f"the page needs {error.name}: pip install 'fusionnetx[page]'") from error
    runtime = surroundings()
    run_page(Inputs(existing_run(run, data), runtime), runtime, port, browser=browser)
