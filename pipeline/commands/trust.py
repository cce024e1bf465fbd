"""Verbs about trust: check a run, compare two, kill one again and again and see what it loses."""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from pipeline.commands.options import DataOption, RecipeOption, SetOption, example, finished_run
from pipeline.display import Display

commands = typer.Typer()

SMALL = (
    "data.synthetic.lesions=600", "data.synthetic.test_lesions=150", "folds.count=2", "image_models[0].epochs=2",
    "image_models[1].epochs=2", "image_models[0].checkpoint_seconds=0.001",
    "tabular.members[lightgbm_metadata].iterations=20", "tabular.members[lightgbm].iterations=20",
    "tabular.members[catboost].iterations=20", "tabular.members[xgboost].iterations=20", "tabular.tune.trials=2",
    'tabular.tune.members=["lightgbm"]', "tabular.tune.reestimate_seeds=[1]",
)  # fmt: skip
"""The demo with every stage, tuning included, small enough to be run some fifty times."""


@commands.command(epilog=example("verify", "verify --run runs/first_try", "verify --run first_try --data isic-2024/"))
def verify(
    run: Annotated[str, typer.Option("--run", help="Name or path of a run.")] = "demo", data: DataOption = None
) -> None:
    """Check every byte of a run: what is missing, damaged or stale, and which command repairs it."""
    from pipeline.trust.recorded import recorded_run
    from pipeline.trust.verify import repairing_command, verify_run

    space = recorded_run(finished_run(run), data)
    display = space.display
    with display.listening():
        with display.task("verifying") as progress:
            verdict = verify_run(space, progress)
        for note in verdict.notes:
            display.say(f"note: {note}")
        for finding in verdict.findings:
            display.say(f"{finding.state}: {finding.step}: {finding.reason}")
        if verdict.ok:
            display.say(f"{space.run_dir} is whole: {verdict.steps} steps, {verdict.bytes / 1e6:,.1f} MB checked")
            return
        display.say(
            f"{len(verdict.findings)} of {verdict.steps} steps of {space.run_dir} do not hold; this repairs it:"
        )
        display.say(f"  {repairing_command(verdict.findings, space.run_dir, data)}")
    raise typer.Exit(1)


@commands.command(epilog=example("diff runs/demo runs/other"))
def diff(
    left: Annotated[str, typer.Argument(metavar="RUN_A", help="Name or path of a run.")],
    right: Annotated[str, typer.Argument(metavar="RUN_B", help="Name or path of the other run.")],
) -> None:
    """Say what differs between two runs, and why. Exit code 1 when their results differ."""
    from pipeline.trust.diff import diff_runs

    runs = [finished_run(name).run_dir for name in (left, right)]
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
        display.console.print(table)
    if found.same_results:
        display.say("the results are the same, byte for byte")
        return
    raise typer.Exit(1)


@commands.command(
    epilog=example("faults", "faults --kills 100 --seed 1", "faults --recipe pipeline/recipes/demo.toml --kills 10")
)
def faults(
    kills: Annotated[int, typer.Option(min=1, help="Runs to kill, each once.")] = 25,
    in_a_row: Annotated[int, typer.Option(min=0, help="Kills of one further run, one after the other.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Chooses the moments.")] = 0,
    recipe: RecipeOption = "demo",
    set_: SetOption = None,
    scratch: Annotated[Path | None, typer.Option(help="Folder to work in; default: a temporary one.")] = None,
) -> None:
    """Kill a run at many moments, let it go on, and compare what it leaves with an uninterrupted run's.

    The shipped demo is made smaller, with every stage; another recipe is taken as it is.
    """
    from pipeline.trust.campaign import Campaign

    changes = [*(SMALL if recipe == "demo" else ()), *(set_ or ())]
    options = ["--recipe", recipe, *(word for change in changes for word in ("--set", change))]
    folder = Path(tempfile.mkdtemp(prefix="fusionnetx-faults-")) if scratch is None else scratch.absolute()
    display = Display()
    with display.listening():
        whole = Campaign(("pipeline", "submission", *options), folder, display).run(kills, in_a_row, seed)
    if not whole:
        display.say(f"what was left is in {folder}")
        raise typer.Exit(1)
    if scratch is None:
        shutil.rmtree(folder)
