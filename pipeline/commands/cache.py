"""The verb about the cache."""

from typing import Annotated

import typer

from pipeline.commands.options import example

commands = typer.Typer()


@commands.command(epilog=example("cache", "cache --clear", "cache --clear synthetic-0123abcd"))
def cache(
    names: Annotated[list[str] | None, typer.Argument(help="Entries to remove, with --clear; none: all.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Remove instead of listing.")] = False,
) -> None:
    """List what the cache holds (packed images, synthetic cohorts), or clear it; it is made again when needed."""
    from pipeline.actions.cache import clear_cache, print_cache
    from pipeline.display import Display
    from pipeline.runtime import cache_folder

    if names and not clear:
        raise typer.BadParameter("to remove what is named, give --clear")
    if clear:
        clear_cache(cache_folder(), names or [], Display())
    else:
        print_cache(cache_folder(), Display())
