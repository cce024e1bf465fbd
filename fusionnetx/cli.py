"""The command line: one verb per stage, the same options everywhere, errors as one message.

The verbs are in `commands/`. Exit codes: 0 done; 1 a fault of ours, or (of `verify`, `diff`, `audit`) something found;
2 a mistake in what was given; 130 or 143 interrupted, and able to go on.
"""

import io
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console

from data.errors import FusionNetXError, Interrupted
from data.files import no_room
from data.secrets import masked
from pipeline.commands import cohorts, evidence, explain, inspect, integrity, stages, travel
from pipeline.display import labelled
from pipeline.memory import keep_freed_memory
from research.commands import compare, studies

READER_GONE = 141
"""Exit code when whoever read the output has gone, as of a program that SIGPIPE ends."""

UNNAMED = "a file, or what is printed"
"""What an error is about that names no file: no system says that it was the output."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Skin-lesion malignancy from many small images and a table: train by patient, stack, submit, score.",
    epilog="Start with: [bold]fusionnetx submission[/bold] (a synthetic cohort)\n\n"
    "The real entry: [bold]fusionnetx submission --recipe fusionnetx --data isic-2024/[/bold]",
)
for module in (
    cohorts,
    compare,
    stages,
    inspect,
    evidence,
    explain,
    integrity,
    studies,
    travel,
):
    app.add_typer(module.commands)


def say_version(wanted: bool) -> None:
    """Say which version this is, and end."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"fusionnetx {version('fusionnetx')}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=say_version, is_eager=True, help="Say the version and end.")
    ] = False,
) -> None:
    """What is asked of no verb."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; the user's mistakes become one message and exit code 2."""
    keep_freed_memory()
    for stream in (sys.stdout, sys.stderr):
        # A message must come out whatever the terminal can spell.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    sys.exit(guarded(lambda: app(args=arguments, standalone_mode=True)))


def guarded(command: Callable[[], object]) -> int:
    """Run a command and turn its end into an exit code."""
    errors = Console(stderr=True, highlight=False)
    errors.soft_wrap = not errors.is_terminal

    def fail(text: str) -> None:
        errors.print(labelled("error", "red", text))

    try:
        command()
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):
            return READER_GONE
        return stop.code if isinstance(stop.code, int) else int(bool(stop.code))
    except FusionNetXError as error:
        fail(str(error))
        return 2
    except BrokenPipeError:
        # Whoever read the output has gone; nothing more can be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except OSError as error:
        # A full disk or a folder that cannot be written: the user's to mend, and nothing is half-written.
        remedy = "" if no_room(error) is None else "; free some space, and the same command goes on from here"
        fail(f"{error.filename or UNNAMED}: {error.strerror or error}{remedy}")
        return 2
    except (Interrupted, KeyboardInterrupt) as stop:
        errors.print("stopped; the same command goes on from here")
        return stop.exit_code if isinstance(stop, Interrupted) else 130
    except Exception as error:
        fail(f"{own_fault(error)} {kept_trace(error)}")
        return 1
    return 0


def own_fault(error: Exception) -> str:
    """What to say of an error that nobody foresaw."""
    if isinstance(error, MemoryError):
        return "the memory of this machine is not enough; do less at once ([resources]), or take fewer rows."
    said = str(error).strip().splitlines()
    return f"this is a fault of FusionNetX, not yours: {type(error).__name__}{': ' + said[0] if said else ''}."


def kept_trace(error: Exception) -> str:
    """Keep the whole trace in a file, and say where it is."""
    text = masked("".join(traceback.format_exception(error)))
    try:
        with tempfile.NamedTemporaryFile("w", prefix="fusionnetx-error-", suffix=".txt", delete=False) as file:
            file.write(text)
    except OSError:
        return f"The trace could not be kept:\n{text}"
    return f"The whole trace is in {file.name}; please send it with the command that led to it"


if __name__ == "__main__":
    main()
