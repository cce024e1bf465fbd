"""The verb that serves the page."""

from typing import Annotated

import typer

from data.errors import DataError
from pipeline.commands.options import ExistingRunOption, MovedDataOption, example

commands = typer.Typer()


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
