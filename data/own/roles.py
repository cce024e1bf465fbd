"""Which column names the rows, which the patient, and which the image; which values of the answer are the bad ones.

Everything here is a guess that a person can correct; `sure` says whether it needs to be looked at.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import polars as pl

from data.errors import DataError
from data.images.joined import stem_of
from data.own.columns import ColumnLook

_WHO = r"pat(ient)?|person|subject|proband|individual|participant"
_OF_WHOM = rf"({_WHO})(s|e|en|in|innen)?"
_NUMBER = r"(id|nr|no|num|nummer|number|code|key|name|kennung|pseudonym|uuid)"
PATIENT_NAME = re.compile(
    rf"(^|[\W_])((id|nr|no)[\W_]*)?({_OF_WHOM}[\W_]*{_NUMBER}?|(case|fall)[\W_]*{_NUMBER}|mrn|pseudonym)[\W_]*$", re.I
)
"""The name of a column that names patients; that of what is known of them (their age) goes on."""
PATIENT_WORD = re.compile(rf"{_WHO}|\bmrn\b|pseudonym|case|fall", re.I)
LESION_NAME = re.compile(r"lesion|läsion|laesion|n[ae]+vus|\bmole", re.I)
ROW_NAME = re.compile(r"(^|_|\b)(id|nr|no|nummer|number|key|code|name|bild|image|img|datei|file|lesion|läsion)", re.I)
POSITIVE = re.compile(
    r"^(1|1\.0|true|yes|y|ja|j|oui|s[ií]|pos(itive?|itiv)?)$|malig|bösartig|boesartig|mel(anoma?)?$", re.I
)
NEGATIVE = re.compile(r"^(0|0\.0|false|no|n|nein|non|neg(ative?|ativ)?)$|benig|gutartig|na?ev", re.I)
FOUND_SHARE = 0.5
"""Rows whose image must be there before a column is taken for the one that names them."""
SAMPLED = 200


@dataclass(frozen=True)
class Guess:
    """A guess with how it came about."""

    value: str
    sure: bool
    why: str


def group_guess(columns: Sequence[ColumnLook], rows: int, taken: Collection[str]) -> Guess:
    """The column of patients: named like it, and naming several rows at least once."""
    fitting = [
        column.name
        for column in columns
        if column.name not in taken and PATIENT_NAME.search(column.name) and column.different > 1 and not column.missing
    ]
    repeated = [name for column in columns if (name := column.name) in fitting and column.different < rows]
    if repeated:
        if len(repeated) > 1:
            return Guess(repeated[0], False, f"named like it: {', '.join(repeated)}")
        return Guess(repeated[0], True, "named like patients, whose rows must stay in one fold")
    if fitting:
        return Guess(fitting[0], True, "named like patients, each with one row")
    return Guess("", False, "no column is named like patients, so every row counts as another person")


def group_noun(column: str) -> str:
    """What a value of a group column stands for, by its name; rows where no column groups them."""
    if not column:
        return "row"
    return "patient" if PATIENT_WORD.search(column) else "lesion" if LESION_NAME.search(column) else "group"


def image_guess(frame: pl.DataFrame, stems: Collection[str], prefer: str = "") -> Guess:
    """How the table names the images: `{column}`, perhaps with words around it; empty when it does not."""
    known = {unicodedata.normalize("NFC", stem) for stem in stems}
    found: list[tuple[float, str]] = []
    names = sorted(frame.columns, key=lambda name: name != prefer)
    for name in names:
        cells = [unicodedata.normalize("NFC", stem_of(cell)) for cell in frame[name].drop_nulls().to_list()]
        share = sum(cell in known for cell in cells) / max(len(frame), 1)
        # A column of a few words that happen to be names of images names no image of a row.
        if share >= FOUND_SHARE and len(set(cells)) > 1:
            found.append((share, f"{{{name}}}"))
    if not found:
        found = [guess for name in names if (guess := pattern_around(frame[name], known))]
    if not found:
        return Guess("", False, "no column names the images")
    share, pattern = max(found, key=lambda pair: pair[0])
    return Guess(pattern, True, f"the images of {share:.0%} of the rows have this name")


def pattern_around(cells: pl.Series, known: Collection[str]) -> tuple[float, str] | None:
    """Words that stand before and after a column's cells in the images' names, with the share of rows they find."""
    texts = [unicodedata.normalize("NFC", cell) for cell in cells.drop_nulls().to_list()]
    if len(texts) < 2 or len(set(texts)) < FOUND_SHARE * len(cells):
        return None
    stems = sorted(known)[: 20 * SAMPLED]
    around: Counter[tuple[str, str]] = Counter()
    for text in texts[:SAMPLED:10] if len(texts) > SAMPLED else texts[:20]:
        for stem in stems:
            before, found, after = stem.partition(text)
            if found and not before[-1:].isalnum() | after[:1].isalnum():
                around[before, after] += 1
    if not around:
        return None
    (before, after), _ = around.most_common(1)[0]
    share = sum(f"{before}{text}{after}" in known for text in texts) / len(cells)
    pattern = f"{before}{{{cells.name}}}{after}"
    return (share, pattern) if share >= FOUND_SHARE and not set("{}") & set(before + after) else None


def lesion_guess(columns: Sequence[ColumnLook], rows: int, image: str, taken: Collection[str]) -> Guess:
    """The column that names the rows: that of the images, else one that is named like it; each value once."""
    unique = [c.name for c in columns if c.different == rows and not c.missing and c.name not in taken]
    of_image = [name for name in re.findall(r"\{([^{}]*)\}", image) if name in unique]
    named = [name for name in unique if ROW_NAME.search(name)]
    texts = [c.name for c in columns if c.name in unique and c.kind == "names"]
    for names, sure, why in (
        (of_image, True, "names the images, each row once"),
        (named, True, "each row has a name of its own in it"),
        (texts, False, "each row has another text in it"),
    ):
        if names:
            return Guess(names[0], sure, why)
    return Guess("", False, "no column has another value in every row")


def positive_guess(counts: dict[str, int]) -> Guess:
    """Which of two answers is the bad one: by its word, else the rarer."""
    bad = [value for value in counts if POSITIVE.search(value) and not NEGATIVE.search(value)]
    good = [value for value in counts if NEGATIVE.search(value)]
    if len(bad) == 1:
        return Guess(bad[0], True, "by its name")
    if len(good) == 1:
        return Guess(next(value for value in counts if value not in good), True, f"{good[0]} being the other")
    return Guess(min(counts, key=lambda value: (counts[value], value)), False, "the rarer of the two")


@dataclass(frozen=True)
class Question:
    """What is not sure, with a guess."""

    text: str
    guess: Guess
    options: tuple[str, ...]
    """What may be answered; any other word is refused."""
    remedy: str
    """How to answer it beforehand."""


Ask = Callable[[Question], str]
"""Answers a question with one of its options."""


def refuse_unsure(question: Question) -> str:
    """Answer with a guess that is sure; DataError for one that is not."""
    if question.guess.sure:
        return question.guess.value
    raise DataError(f"{question.text}: {question.remedy}")
