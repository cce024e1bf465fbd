"""The verb that lists the published systems."""

import typer

from pipeline.commands.options import example

commands = typer.Typer()


@commands.command(epilog=example("systems"))
def systems() -> None:
    """List the published systems: source, data, published figure, parameters, recipe."""
    import shutil
    import textwrap

    from research.systems.registry import SOURCES, SYSTEMS

    width = shutil.get_terminal_size().columns

    def say(text: str, indent: int) -> None:
        typer.echo(textwrap.fill(text, width, initial_indent=" " * indent, subsequent_indent=" " * indent))

    for source, text in SOURCES.items():
        typer.secho(f"{source}  {text}", bold=True)
        for system in (system for system in SYSTEMS if system.source == source):
            typer.secho(f"  {system.name}", fg="cyan")
            say(f"{system.title}; {system.parameters:,} parameters; recipe {system.recipe}", 6)
            for data_set, figures in system.published.items():
                stated = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in figures.items())
                say(f"published on {data_set}: {stated or 'no figure'}", 6)
        typer.echo()
    say("Parameters: for seven classes and HAM10000's age, sex and site.", 0)
    say("`fusionnetx compare --recipe ...` runs them.", 0)
