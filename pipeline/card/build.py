"""`fusionnetx card`: card.md and card.html, a bill of materials, a description of the data; into the run's `card`."""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from data.files import write_json, write_text
from pipeline.card.bom import bill_of_materials
from pipeline.card.croissant import described
from pipeline.card.figures import UNANSWERED, Cell, Section, answered
from pipeline.card.sections import Answers
from pipeline.inputs import Inputs
from pipeline.report.page import render
from pipeline.run import Run
from pipeline.runtime import Runtime

FOLDER = "card"
BILL, DATA = "bom.json", "croissant.json"


def run_card(inputs: Inputs, runtime: Runtime) -> None:
    """Write all four files."""
    run = inputs.run
    folder = run.folder / FOLDER
    source = inputs.source_dir
    with runtime.display.task("card: checksums of the data") as progress:
        description = described(source, source.name, run.invented, progress)
    write_json(folder / DATA, description)
    write_card(run, folder)
    if "report" not in (Answers(run).metrics.value or {}):
        runtime.display.warn(
            f"{run.folder} has no report yet, so much of the card is unanswered: "
            f"`fusionnetx report --run {run.folder}` makes it; then give this command again"
        )
    runtime.display.say(f"wrote card.md, card.html, {BILL} and {DATA} to {folder}")


def carry_card(run: Run, folder: Path) -> None:
    """The card as the run's files allow it now, for a folder that leaves; the data's description where it was made."""
    place = folder / FOLDER
    place.mkdir(parents=True)
    if (run.folder / FOLDER / DATA).is_file():
        shutil.copyfile(run.folder / FOLDER / DATA, place / DATA)
    write_card(run, place)


def write_card(run: Run, folder: Path) -> None:
    """The card and the bill of materials; what describes the data is named where it lies there already."""
    answers = Answers(run)
    write_json(folder / BILL, bill_of_materials(run.name, str(answers.metrics.at("submission").value)))
    sections = answers.sections()
    items = answered(sections, [path.name for path in folder.iterdir()])
    write_text(folder / "card.md", markdown(run.name, run.invented, sections, items))
    page = render("card.html", {}, name=run.name, invented=run.invented, sections=sections, items=items,
                  unanswered=UNANSWERED)  # fmt: skip
    write_text(folder / "card.html", page)


def text_of(cell: Cell) -> str:
    """A cell that cannot end its row, or become a link or a tag."""
    text = cell if isinstance(cell, str) else cell.text
    for sign in "\\|<>[]*_`":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def table(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> list[str]:
    """A table's lines."""
    lines = [f"| {' | '.join(map(text_of, head))} |", f"|{'---|' * len(head)}"]
    return [*lines, *(f"| {' | '.join(map(text_of, row))} |" for row in rows), ""]


def markdown(name: str, invented: bool, sections: Sequence[Section], items: Iterable[tuple[str, str, str]]) -> str:
    """The whole card."""
    lines = [f"# Model card: {text_of(name)}", ""]
    if invented:
        lines += ["**The models were trained on invented lesions: the figures say nothing about patients.**", ""]
    for one in sections:
        lines += [f"## {one.title}", "", *(line for said in one.said for line in (said, ""))]
        if one.rows:
            lines += table(one.head, one.rows)
        elif not one.said:
            lines += [f"{UNANSWERED.capitalize()}.", ""]
    lines += ["## Items of TRIPOD+AI and CLAIM", ""]
    lines += table(("Item", "Answered"), [(item, where) for item, where, _ in items])
    return "\n".join(lines)
