"""Verbs about integrity: check a run, compare two."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import ExistingRunOption, example

commands = typer.Typer()


@commands.command(epilog=example("verify", "verify --run runs/first_try", "verify --run first_try --data isic-2024/"))
def verify(
    run: ExistingRunOption = "demo",
    data: Annotated[
        Path | None,
        typer.Option("--data", "-d", help="Read this folder, and check that it is what the run was made of."),
    ] = None,
) -> None:
    """Check every byte of a run: what is missing, damaged or stale, and which command repairs it."""
    from pipeline.actions.opening import existing_run, surroundings
    from pipeline.inputs import Inputs
    from pipeline.integrity.verify import repairing_command, verify_run

    here = surroundings()
    found = existing_run(run, data)
    display = here.display
    with display.listening():
        inputs = None if data is None else Inputs(found, here)
        with display.task("verifying") as progress:
            verdict = verify_run(found, here, inputs, progress)
        for note in verdict.notes:
            display.say(f"note: {note}")
        for finding in verdict.findings:
            display.say(f"{finding.state}: {finding.step}: {finding.reason}")
        if verdict.ok:
            display.say(f"{found.folder} is whole: {verdict.steps} steps, {verdict.bytes / 1e6:,.1f} MB checked")
            return
        display.say(f"{len(verdict.findings)} of {verdict.steps} steps of {found.folder} do not hold; this repairs it:")
        display.say(f"  {repairing_command(verdict.findings, found, data)}")
    raise typer.Exit(1)


@commands.command(epilog=example("diff runs/demo runs/other"))
def diff(
    left: Annotated[str, typer.Argument(metavar="RUN_A", help="Name or path of a run.")],
    right: Annotated[str, typer.Argument(metavar="RUN_B", help="Name or path of the other run.")],
) -> None:
    """Say what differs between two runs, and why. Exit code 1 when their results differ."""
    from rich.table import Table

    from pipeline.actions.opening import existing_run
    from pipeline.display import Display
    from pipeline.integrity.diff import diff_runs

    runs = [existing_run(name).folder for name in (left, right)]
    found = diff_runs(*runs)
    display = Display()
    for title, lines in (
        ("recipe", found.recipe),
        ("surroundings", found.surroundings),
        (f"only in {runs[0]}", found.only_left),
        (f"only in {runs[1]}", found.only_right),
    ):
        if lines:
            display.say(title, style="bold")
            for line in lines:
                display.say(f"  {line}")
    if found.steps:
        display.say("results", style="bold")
    for one in found.steps:
        reason = "; ".join(one.causes) or "everything recorded is equal: this step is not reproducible"
        display.say(
            f"  {one.step}: {', '.join(Path(file).name for file in one.files)}, because of {reason}"
            if one.causes
            else f"  {one.step}: {', '.join(Path(file).name for file in one.files)}; {reason}"
        )
    if found.scores:
        table = Table("score", str(runs[0]), str(runs[1]), title="Scores that differ", title_justify="left")
        for name, mine, other in found.scores:
            table.add_row(name, *("-" if value is None else f"{value:.4f}" for value in (mine, other)))
        display.table(table)
    if found.same_results:
        display.say("the results are the same, byte for byte")
        return
    raise typer.Exit(1)
