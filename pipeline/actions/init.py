"""From a table and its images to a recipe: look, ask where it is unsure, write a commented file that loads."""

import shlex
import sys
import unicodedata
from collections.abc import Collection
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np

from data.errors import DataError, examples
from data.files import write_text
from data.images.decode import pixels
from data.images.joined import stem_of
from data.images.pack import usable_cores
from data.images.sources import SUFFIXES, ImageSource
from data.own.proposal import Proposal, Said, propose
from data.own.roles import Ask, Question, refuse_unsure
from data.readers.reading import images_at
from data.tables.form import Decimal, TableForm
from data.tables.near import did_you_mean, with_files_beside
from features.columns import FORBIDDEN
from pipeline.actions.columns_table import columns_table
from pipeline.actions.draft import Pictures, draft
from pipeline.actions.machine import Choice, network_for, this_machine
from pipeline.display import Display
from pipeline.recipe import parse_recipe
from pipeline.recipe_changes import read_toml
from pipeline.runtime import Runtime

SAMPLED_IMAGES = 20
LOOKED_AT = 200
"""Names of a folder that are looked at for images, when nobody has said where these are."""
RARE = 0.15
"""A class with a smaller share of the rows is rare."""


def run_init(
    table_path: Path,
    images_path: Path | None,
    said: Said,
    form: TableForm,
    out_path: Path | None,
    runtime: Runtime,
    *,
    yes: bool,
) -> None:
    """Write the recipe of a table, and say what was understood and what to do next."""
    display = runtime.display
    out = out_path or Path(f"{plain_name(table_path.stem)}.toml")
    if out.exists():
        raise DataError(f"{out} is there already: give another name with --out, or remove it")
    source = None if images_path is None else opened(images_path)
    stems = None if source is None else [str(name) for name in source.ids]
    said = replace(said, never=FORBIDDEN)
    proposal = propose(table_path, said, asker(display, yes), stems=stems, form=form)
    pictures = None
    if images_path is not None and source is not None and stems is not None:
        choice = chosen_network(proposal, source, runtime.weights_dir)
        missing = share_missing(proposal, stems)
        pictures = Pictures(below(images_path, table_path.parent), missing, choice.model, choice.why)
    text = draft(proposal, table_path.name, pictures)
    parse_recipe(read_toml(text), origin=str(out))
    write_text(out, text)
    print_proposal(proposal, display, pictures, len(stems or ()))
    for path in () if images_path else images_beside(table_path):
        display.warn(f"{path} holds images, and the recipe is for the table alone: name it after the table to use them")
    display.say(f"wrote {out}: read it, and change what is not meant", style="bold")
    where = f"--recipe {quoted(out)} --data {quoted(table_path.parent)}"
    display.say(f"next: fusionnetx check {where}")
    display.say(f"then: fusionnetx submission {where}")


def form_of(sheet: str, decimal: str) -> TableForm:
    """What a caller says of the table's form."""
    if decimal not in ("", ".", ","):
        raise DataError(f"--decimal {decimal!r}: it is '.' or ','")
    return TableForm(sheet=sheet, decimal=cast(Decimal, decimal))


def opened(path: Path) -> ImageSource:
    """The images; DataError when there are none."""
    if path.suffix.lower() in {".tar", ".gz", ".tgz", ".7z", ".rar"}:
        raise DataError(f"{path} is an archive: unpack it first, and give the folder of its images")
    if not path.exists():
        raise DataError(f"{path} does not exist{with_files_beside(path)}")
    source = images_at(path)
    if not len(source.ids):
        raise DataError(f"{path} has no images: files ending in {examples(sorted(SUFFIXES), 9)} are looked for")
    return source


def asker(display: Display, yes: bool) -> Ask:
    """Who answers questions: nobody, with --yes; a person at a terminal; else they must be answered beforehand."""

    def guess(question: Question) -> str:
        display.warn(f"{question.text}: took {question.guess.value or 'none'} ({question.guess.why})")
        return question.guess.value

    def person(question: Question) -> str:
        display.say(question.text, style="bold")
        display.say("  " + ", ".join(option or "(none)" for option in question.options))
        while True:
            guess = question.guess.value
            answer = display.ask(f"answer [{guess}]: " if guess else "answer: ") or guess
            if answer in question.options:
                return answer
            display.say(f"  {answer!r} is none of these{did_you_mean(answer, question.options)}")

    if yes:
        return guess
    if sys.stdin.isatty() and display.console.is_terminal:
        return person

    def nobody(question: Question) -> str:
        guess = question.guess.value or "none"
        return refuse_unsure(replace(question, remedy=f"{question.remedy}; --yes takes the guess ({guess})"))

    return nobody


def images_beside(table: Path) -> list[Path]:
    """Folders and archives beside a table that hold images, as far as a short look tells."""
    found = []
    for path in sorted(table.parent.iterdir()):
        inside = islice(path.rglob("*"), LOOKED_AT) if path.is_dir() else ()
        if any(one.suffix.lower() in SUFFIXES for one in inside) or path.suffix.lower() == ".zip":
            found.append(path)
    return found


def share_missing(proposal: Proposal, stems: Collection[str]) -> float:
    """Rows whose image is not there, as a share."""
    known = {unicodedata.normalize("NFC", stem) for stem in stems}
    before, _, rest = proposal.image.value.partition("{")
    column, _, after = rest.partition("}")
    cells = proposal.table.text.frame[column].to_list()
    there = sum(unicodedata.normalize("NFC", stem_of(f"{before}{cell}{after}")) in known for cell in cells)
    return 1 - there / max(len(cells), 1)


def chosen_network(proposal: Proposal, source: ImageSource, weights_dir: Path) -> Choice:
    """A network for these pictures on this machine."""
    rarest = min(proposal.counts.values()) / proposal.rows
    if proposal.positive:
        bad = sum(proposal.counts[value] for value in proposal.positive) / proposal.rows
        rarest = min(bad, 1 - bad)
    return network_for(
        this_machine(usable_cores()), proposal.rows, usual_side(source), weights_dir, balanced=rarest >= RARE
    )


def usual_side(source: ImageSource) -> int:
    """Median of the longer side of a few pictures."""
    names = source.ids
    sides = []
    for i in np.unique(np.linspace(0, len(names) - 1, SAMPLED_IMAGES).astype(int)):
        try:
            height, width, _ = pixels(source.read(str(names[i]))).shape
        except DataError:
            continue
        sides.append(max(height, width))
    if not sides:
        raise DataError(f"{source!r}: none of {SAMPLED_IMAGES} images that were tried can be decoded")
    return int(np.median(sides))


def print_proposal(proposal: Proposal, display: Display, pictures: Pictures | None, count: int) -> None:
    """Say what was understood; `count` is the number of pictures."""
    say = display.say
    say(f"{proposal.table.text.name}: {proposal.rows:,} rows, read as {proposal.table.understood}", style="bold")
    display.table(*columns_table(proposal.columns, roles_of(proposal)))
    noun = proposal.group_noun
    for name, guess in (("row", proposal.lesion), (noun if proposal.group.value else "patient", proposal.group)):
        say(f"{name}: {guess.value or 'none'} ({guess.why})")
    shares = ", ".join(f"{value} {count:,} ({count / proposal.rows:.1%})" for value, count in proposal.counts.items())
    positive = f"; positive: {', '.join(proposal.positive)}" if proposal.positive else ""
    say(f"answer: {proposal.said.target}: {shares}{positive}")
    if pictures is not None:
        say(f"images: {count:,}, named {proposal.image.value}; {pictures.missing:.1%} of the rows have none")
    for one in proposal.suspects:
        display.warn(f"{one}; left out as forbidden (--keep {quoted(one.name)} uses it)")
    for warning in proposal.warnings:
        display.warn(warning)
    say(f"folds: {proposal.folds}, of {proposal.groups:,} {noun}s")
    if pictures is not None:
        model = pictures.model
        say(f"network: {model.backbone} at {model.image_size} px, {model.epochs} epochs: {pictures.why}")


def roles_of(proposal: Proposal) -> dict[str, str]:
    """What becomes of each column."""
    roles = {column.name: "feature" for column in proposal.features}
    roles |= dict.fromkeys(proposal.left_out, "left out") | dict.fromkeys(proposal.forbidden, "forbidden")
    return roles | {
        proposal.group.value: proposal.group_noun,
        proposal.lesion.value: "row",
        proposal.said.target: "answer",
    }


def below(path: Path, folder: Path) -> str:
    """A path as the recipe names it: from the data folder where it lies in it, else absolute."""
    whole, base = path.resolve(), folder.resolve()
    return str(whole.relative_to(base)) if whole.is_relative_to(base) else str(whole)


def plain_name(name: str) -> str:
    """A name for a recipe and a run: letters and digits of any script, and _."""
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in name).strip("_") or "recipe"


def quoted(word: object) -> str:
    """A word as a shell takes it."""
    return shlex.quote(str(word))
