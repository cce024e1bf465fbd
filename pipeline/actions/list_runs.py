"""The runs of a folder, with what they are and what they scored."""

from pathlib import Path
from typing import Any

from rich.table import Table

from data.errors import FusionNetXError
from pipeline.display import Display
from pipeline.run import Run
from pipeline.scoring import interval
from pipeline.step_reports import read_step_report


def print_runs(folder: Path, display: Display) -> None:
    """One line per run; a run that cannot be read says why."""
    found = sorted(path.parent for path in folder.glob("*/recipe.toml"))
    if not found:
        display.say(f"there are no runs in {folder}/; `fusionnetx submission` makes one")
        return
    table = Table("run", "data", "models", "members", "score", "cross-validated")
    for path in found:
        table.add_row(*row_of(path))
    display.table(table)


def row_of(path: Path) -> tuple[str, ...]:
    """A run as the table shows it."""
    try:
        run = Run.open(path)
    except FusionNetXError as error:
        return path.name, str(error).splitlines()[0], "", "", "", ""
    data = f"{run.recipe.data.reader}{', invented' if run.invented else ''}"
    models, members = len(run.recipe.image_models), len(run.recipe.tabular.members)
    score, figure = score_of(path)
    if run.recipe.tabular.optimistic and score:
        figure += ", optimistic: a search saw its folds"
    return path.name, data, str(models), str(members), score, figure


def score_of(path: Path) -> tuple[str, str]:
    """Name and cross-validated figure of the blend; `not finished` without one."""
    try:
        report = read_step_report(path / "tabular" / "report.json") or {}
        scores: dict[str, Any] = report["scores"]["blend"]
        name = next((name for name, figures in scores.items() if "low" in figures), next(iter(scores)))
        return name, interval(scores[name])
    except (KeyError, TypeError, StopIteration):
        return "", "not finished"
