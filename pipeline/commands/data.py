"""The verb that fetches published data."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import example

commands = typer.Typer()


@commands.command(
    epilog=example(
        "data isic2024",
        "data ham10000",
        "data isic2024 --permissive --out isic-permissive/",
        "data isic2024 --part 1/10",
    )
)
def data(
    name: Annotated[str, typer.Argument(help="The data set, by the name of its reader: isic2024, ham10000.")],
    permissive: Annotated[
        bool, typer.Option("--permissive", help="Only what may be used commercially too (CC BY 4.0; about half).")
    ] = False,
    part: Annotated[
        str | None,
        typer.Option("--part", metavar="K/N", help="Only the K-th of N parts of the images, with their rows."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write to. Default: isic-2024, named after edition and part.")
    ] = None,
) -> None:
    """Fetch a published data set, without an account; a broken connection goes on where it stopped."""
    from pipeline.actions.fetch_data import fetch_data
    from pipeline.display import Display

    display = Display()
    with display.listening():
        fetch_data(name, display, permissive=permissive, part=part, out=out)
