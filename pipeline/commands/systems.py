"""The verb that lists the published systems."""

import typer

from pipeline.commands.options import example

commands = typer.Typer()


@commands.command(epilog=example("systems"))
def systems() -> None:
    """List the published systems: source, data, published figure, parameters, recipe."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from pipeline.systems.cost import parameter_count
    from pipeline.systems.registry import SOURCES, SYSTEMS
    from pipeline.systems.table import NOTHING

    table = Table(title="Published systems", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("system", "source", "published on", "published", "recipe", "parameters", "what it is"):
        table.add_column(
            heading,
            justify="right" if heading == "parameters" else "left",
            no_wrap=heading in ("system", "recipe", "parameters"),
            overflow="fold",
        )
    for system in SYSTEMS:
        table.add_row(
            system.name,
            system.source,
            system.published_on or NOTHING,
            ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in system.published.items()) or NOTHING,
            system.recipe,
            f"{parameter_count(system):,}",
            system.title,
        )
    console = Console(highlight=False)
    console.print(table)
    for source, text in SOURCES.items():
        console.print(f"{source}: {text}", markup=False)
    console.print("Parameters: for seven classes and HAM10000's age, sex and site. `fusionnetx compare --recipe ...` "
                  "runs them.", markup=False)  # fmt: skip
