"""What a table of one's own is for: which column is what, what is left out and why, in how many folds it divides.

The command `init` writes a recipe of it, the public interface runs one; both see the same table.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from data.errors import DataError, examples
from data.folds import DEFAULT_COUNT
from data.own.columns import KINDS, ColumnLook, columns_of, in_roles
from data.own.leaks import Giveaway, giveaways
from data.own.roles import (
    PATIENT_NAME,
    Ask,
    Guess,
    Question,
    group_guess,
    group_noun,
    image_guess,
    lesion_guess,
    positive_guess,
)
from data.tables.any_table import AnyTable, read_any
from data.tables.csv import TextTable
from data.tables.form import FOUND_OUT, TableForm
from data.tables.marks import UnclearTableError
from data.tables.near import did_you_mean

MAX_CLASSES = 50
MAX_MISSING_SPELLINGS = 3
"""So many words without a digit among the numbers of a column are ways to say that there is no value."""


@dataclass(frozen=True)
class Said:
    """What a caller says of a table's columns; None where the table is to speak for itself."""

    target: str
    group: str | None = None
    """Empty: there are no groups."""
    lesion: str | None = None
    positive: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    """Columns to use although they nearly give the answer away."""
    never: Collection[str] = ()
    """Names that no recipe may use, whether the table has them or not."""

    @property
    def named(self) -> tuple[str, ...]:
        """Every column that is named."""
        return tuple(name for name in (self.lesion, self.group, self.target, *self.forbidden, *self.kept) if name)


@dataclass(frozen=True)
class Proposal:
    """What a table is taken for."""

    table: AnyTable
    form: TableForm
    """What the recipe must say for the table to be read as it was."""
    columns: tuple[ColumnLook, ...]
    said: Said
    lesion: Guess
    group: Guess
    image: Guess
    """The pattern of the images' names; empty for a table alone."""
    counts: dict[str, int]
    """Rows of each answer, the most frequent first."""
    positive: tuple[str, ...]
    """The bad answers; empty where every answer is a class of its own."""
    suspects: tuple[Giveaway, ...]
    """Columns that nearly give the answer away and were not kept by name."""
    left_out: dict[str, str]
    """Columns that are no features, with the reason."""
    folds: int
    warnings: tuple[str, ...]

    @property
    def rows(self) -> int:
        """Rows of the table."""
        return self.table.text.frame.height

    @property
    def groups(self) -> int:
        """Groups whose rows stay in one fold."""
        return self.table.text.frame[self.group.value].n_unique() if self.group.value else self.rows

    @property
    def group_noun(self) -> str:
        """What a group is called."""
        return group_noun(self.group.value)

    @property
    def features(self) -> tuple[ColumnLook, ...]:
        """Columns that features are made of."""
        hidden = {self.lesion.value, self.group.value, self.said.target, *self.left_out}
        return tuple(column for column in self.columns if column.name not in hidden and column.usable)

    @property
    def forbidden(self) -> tuple[str, ...]:
        """Columns that are known only with the answer, or seem to be."""
        return tuple(dict.fromkeys((*self.said.forbidden, *(one.name for one in self.suspects))))

    def folder_table(self, metadata: str, images: str) -> dict[str, Any]:
        """The table [data.folder] of the recipe."""
        of_kind = {kind: [c.name for c in self.features if c.kind == kind] for kind in ("number", "category")}
        form = {key: getattr(self.form, key) for key in ("separator", "decimal", "encoding", "sheet")}
        answers = {"positive": list(self.positive)} if self.positive else {"classes": sorted(self.counts)}
        return {
            "metadata": metadata,
            **{key: value for key, value in form.items() if value},
            "missing": list(self.form.missing),
            "lesion": self.lesion.value,
            "group": self.group.value,
            "target": self.said.target,
            **answers,
            "images": images if self.image.value else "",
            "image": self.image.value if self.image.value != f"{{{self.lesion.value}}}" else "",
            "forbidden": list(self.forbidden),
            "numbers": of_kind["number"],
            "categories": of_kind["category"],
            "ignored": [name for name in self.left_out if name not in self.forbidden],
        }


def read_unsure(path: Path, form: TableForm) -> tuple[AnyTable, TableForm, list[str]]:
    """Read a table in which columns of numbers may hold words, too; with the form that says what these are."""
    try:
        return read_any(path, form), form, []
    except UnclearTableError as error:
        if error.two_ways:
            raise
        mixed = error.mixed
    spellings = {name: words for name, words in mixed.items() if are_spellings_of_missing(words)}
    codes = [name for name in mixed if name not in spellings]
    found = dict.fromkeys(word for words in spellings.values() for word in words)
    form = replace(form, missing=(*form.missing, *found), texts=(*form.texts, *codes))
    notes = [
        f"column {name}: {', '.join(words)} among its numbers is taken for missing" for name, words in spellings.items()
    ]
    notes += [
        f"column {name}: {examples(mixed[name], 3)} among its numbers: it is taken for categories" for name in codes
    ]
    return read_any(path, form), form, notes


def are_spellings_of_missing(words: Sequence[str]) -> bool:
    """Whether a few words among numbers say that there is no number."""
    return len(words) <= MAX_MISSING_SPELLINGS and not any(c.isdigit() for word in words for c in word)


def propose(
    path: Path, said: Said, ask: Ask, *, stems: Collection[str] | None, form: TableForm = FOUND_OUT
) -> Proposal:
    """Look at a table and say what it is for; `stems` are the names of the images, None for a table alone."""
    keys = tuple(name for name in (said.target, said.group, said.lesion) if name)
    table, form, notes = read_unsure(path, replace(form, texts=(*form.texts, *keys)))
    refuse_absent(said, table.text)
    if table.text.duplicated:
        raise DataError(f"{path.name}: column {table.text.duplicated[0]} occurs more than once; rename one")
    columns, rows = columns_of(table), table.text.frame.height
    taken = {said.target, *said.forbidden}
    group = given(said.group) or asked_group(ask, columns, rows, taken | {said.lesion or ""})
    image = Guess("", True, "there are no images")
    if stems is not None:
        image = image_guess(table.text.frame.select(table.text.columns), stems, prefer=said.lesion or "")
        if not image.value:
            raise DataError(
                f"no column of {path.name} names the images: of {len(stems):,} images, such as "
                f"{examples(sorted(stems)[:3])}, none is found by the cells of a column"
            )
    lesion = given(said.lesion) or lesion_guess(columns, rows, image.value, {*taken, group.value})
    if not lesion.value:
        raise DataError(f"{path.name}: {lesion.why}: add a column that names each row, or give --lesion COLUMN")
    counts, answer, warnings = answers_of(table.text.frame[said.target], path)
    positive = said.positive or asked_positive(ask, said.target, counts)
    if positive:
        refuse_strange(positive, counts, said.target)
        answer = np.isin(np.array(list(counts))[answer], positive).astype(np.int64)
    roles = {lesion.value, group.value, said.target}
    refused = [name for name in table.text.columns if name in said.never and name not in roles]
    said = replace(said, forbidden=tuple(dict.fromkeys((*said.forbidden, *refused))))
    # A name of the patient tells nothing of the next one, however it is spelled.
    naming = {c.name for c in columns if PATIENT_NAME.search(c.name)} - {*roles, *said.kept}
    used = [c for c in columns if c.usable and c.name not in {*roles, *naming, *said.forbidden}]
    suspects = tuple(
        one for one in giveaways(table.text.frame, used, answer) if one.suspect and one.name not in said.kept
    )
    reasons = {c.name: KINDS[c.kind] for c in columns if c.name not in roles and not c.usable}
    reasons |= dict.fromkeys(naming, "named like patients")
    reasons |= {one.name: str(one) for one in suspects} | dict.fromkeys(said.forbidden, "forbidden by name")
    reasons |= dict.fromkeys(refused, "known only where the diagnosis is known")
    groups = table.text.frame[group.value].to_numpy() if group.value else np.arange(rows)
    folds = fold_count(groups, answer, group_noun(group.value))
    return Proposal(
        table, form, in_roles(columns, lesion.value, group.value, said.target), said, lesion, group, image, counts,
        tuple(positive), suspects, reasons, folds, (*notes, *warnings),
    )  # fmt: skip


def refuse_absent(said: Said, text: TextTable) -> None:
    """DataError for a column that the table does not have."""
    for name in said.named:
        if name not in text.columns:
            hint = text.elsewhere(name) or did_you_mean(name, text.columns)
            raise DataError(f"the table has no column {name!r}{hint}; it has {examples(text.columns, 30)}")


def given(name: str | None) -> Guess | None:
    """What a caller said, as a guess that is sure."""
    return None if name is None else Guess(name, True, "as given")


def asked_group(ask: Ask, columns: Sequence[ColumnLook], rows: int, taken: Collection[str]) -> Guess:
    """The column of the patients."""
    guess = group_guess(columns, rows, taken)
    if guess.sure:
        return guess
    question = Question(
        f"which column names the patient, whose rows must stay in one fold ({guess.why})",
        guess,
        ("", *(c.name for c in columns if c.name not in taken and not c.missing)),
        "give --group COLUMN, or --group '' if every row is another person",
    )
    answer = ask(question)
    return guess if answer == guess.value else Guess(answer, True, "as answered")


def asked_positive(ask: Ask, target: str, counts: dict[str, int]) -> tuple[str, ...]:
    """The bad one of two answers; none where there are more than two."""
    if len(counts) != 2:
        return ()
    guess = positive_guess(counts)
    if guess.sure:
        return (guess.value,)
    either = " and ".join(map(repr, counts))
    question = Question(
        f"column {target!r} holds {either}: which is the positive one",
        guess,
        tuple(counts),
        f"say which, for instance --positive {guess.value!r} (in Python positive=[{guess.value!r}])",
    )
    return (ask(question),)


def answers_of(cells: pl.Series, path: Path) -> tuple[dict[str, int], Any, list[str]]:
    """Rows of each answer, the place of each row's answer among these, and what is odd about them."""
    there = cells.drop_nulls()
    counted = there.value_counts(sort=True, name="rows")
    counts = dict(sorted(counted.iter_rows(), key=lambda item: (-item[1], item[0])))
    if len(counts) < 2:
        raise DataError(f"column {cells.name!r} holds {len(counts)} different values; a target has two or more")
    if len(there) < len(cells):
        raise DataError(
            f"{path.name}: column {cells.name} has no value in {len(cells) - len(there):,} rows: take these out of the "
            "table, or put them into one of lesions to predict"
        )
    if len(counts) > MAX_CLASSES:
        raise DataError(
            f"column {cells.name!r} holds {len(counts):,} different values ({examples(counts, 3)}); a target has a few"
        )
    lower: dict[str, list[str]] = {}
    for value in counts:
        lower.setdefault(value.lower(), []).append(value)
    warnings = [
        f"column {cells.name}: {' and '.join(same)} differ in capitals alone"
        for same in lower.values()
        if len(same) > 1
    ]
    place = {value: i for i, value in enumerate(counts)}
    return counts, np.array([place[value] for value in cells.to_list()], np.int64), warnings


def refuse_strange(positive: Sequence[str], counts: dict[str, int], target: str) -> None:
    """DataError for an answer that no row has."""
    for value in positive:
        if value not in counts:
            raise DataError(
                f"column {target}: no row is {value}{did_you_mean(value, counts)}; the rows hold {examples(counts, 8)}"
            )
    if set(positive) == set(counts):
        raise DataError(f"column {target}: every answer is a positive one; name some of {examples(counts, 8)}")


def fold_count(groups: Any, answer: Any, noun: str) -> int:
    """As many folds as every class has groups for, five at most; DataError when there are not two."""
    most = min(len(np.unique(groups[answer == code])) for code in np.unique(answer))
    if most < 2:
        raise DataError(f"a class is in one {noun} alone: folds need every class in two {noun}s; get more data")
    return min(DEFAULT_COUNT, most)
