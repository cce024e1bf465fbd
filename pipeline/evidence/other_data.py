"""Labelled lesions from anywhere as a run's models take them: columns renamed, those that are not there left empty.

Three ways: the run's own reader; another recipe's `[data]`; or pictures with a table of names and codes, nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from data.cohort import Cohort, Task
from data.errors import DataError, examples
from data.files import read_json
from data.images.sources import ImageSource
from data.readers.folder import FolderRecipe
from data.recipe import DataRecipe, read_folder
from data.recipe import task_of as known_task
from data.schemas.ham10000 import DIAGNOSES, MALIGNANT
from data.tables.any_table import read_any
from data.tables.form import TableForm
from features.vector import NumberColumn, VectorEncoder
from pipeline.actions.recalibrate import untrained
from pipeline.decision import Decision
from pipeline.plan import Plan
from pipeline.recipe import load_recipe
from pipeline.runtime import Runtime
from pipeline.steps.fold_model import fold_model_of
from pipeline.steps.metadata import FILE

LABELS = "labels.csv"
"""The table that makes a folder of pictures a labelled one."""
NAMES = ("image_id", "image", "isic_id", "lesion_id", "file", "filename", "name", "id")
ANSWERS = ("dx", "diagnosis", "label", "target", "class")
PATIENTS = ("patient_id", "patient", "lesion_id")
POSITIVE = frozenset({*MALIGNANT, "scc", "malignant", "melanoma", "1", "true", "yes", "positive"})
NEGATIVE = frozenset({*DIAGNOSES, "benign", "nevus", "0", "false", "no", "negative"} - POSITIVE)
"""What codes of a table of names mean to a run of two classes; HAM10000's, and plain words."""


@dataclass(frozen=True)
class Elsewhere:
    """Where labelled lesions lie and how they are read."""

    folder: Path
    recipe: str | None = None
    """Another recipe, whose `[data]` says how; None: the run's own, or by a table of names."""
    labels: str | None = None
    """The table of names below the folder; None: labels.csv if it is there."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Their column -> the run's."""
    positive: tuple[str, ...] = ()
    """Their classes that count as positive."""


@dataclass(frozen=True)
class OtherData:
    """Labelled lesions in a run's shape."""

    cohort: Cohort
    images: ImageSource | None
    known: tuple[str, ...]
    """The columns that the models may be told."""
    notes: tuple[str, ...]


def other_data(finished: Plan, runtime: Runtime, decision: Decision, asked: Elsewhere) -> OtherData:
    """Read and reshape; lesions that the models were trained on are left out."""
    run = finished.run
    labels = asked.labels or (LABELS if asked.recipe is None and (asked.folder / LABELS).is_file() else None)
    if not asked.folder.is_dir():
        raise DataError(f"--data {asked.folder} is no folder")
    if labels is not None:
        data = read_folder(labelled_pictures(asked, labels), asked.folder)
    else:
        data = read_folder(load_recipe(asked.recipe).data if asked.recipe else run.recipe.data, asked.folder)
    if asked.recipe is None and labels is None and not asked.renamed and not asked.positive:
        cohort = data.train
    else:
        cohort = reshaped(data.train, task_of(run.recipe.data), told_columns(finished, decision), asked)
    cohort = untrained(run, runtime, cohort, asked.folder)
    return OtherData(cohort, data.train_images, tuple(told_columns(finished, decision)), data.notes)


def task_of(recipe: DataRecipe) -> Task:
    """What a run predicts, without its data."""
    task = known_task(recipe)
    if task is None:
        raise DataError(f"a run of reader {recipe.reader!r} can be evaluated on folders of its own reader alone")
    return task


def told_columns(finished: Plan, decision: Decision) -> dict[str, str]:
    """Every published column that boosters or networks learned from, and whether it holds numbers or categories."""
    published = [one for one in finished.stage_two.encoder(0).features if one.family == "published"]
    found: dict[str, str] = {one.name: one.kind for one in published}
    found |= dict.fromkeys(decision.seen.numbers, "number") | dict.fromkeys(decision.seen.categories, "category")
    for step in finished.fold_models:
        if fold_model_of(step).model.metadata.columns:
            for column in VectorEncoder.from_json(read_json(step.folder / FILE)).columns:
                found[column.name] = "number" if isinstance(column, NumberColumn) else "category"
    return found


def labelled_pictures(asked: Elsewhere, labels: str) -> DataRecipe:
    """How a folder of pictures with a table of names and codes is read."""
    header = read_any(asked.folder / labels, TableForm()).text.columns
    lesion, target = (
        first_of(header, names, asked.folder / labels, what)
        for names, what in ((NAMES, "names the pictures"), (ANSWERS, "holds the answers"))
    )
    group = next((name for name in PATIENTS if name in header and name != lesion), "")
    codes = read_any(asked.folder / labels, TableForm(texts=(lesion, target))).text.frame[target].drop_nulls().unique()
    if len(codes) < 2:
        raise DataError(f"{asked.folder / labels}: column {target} holds one answer alone, and scores need two")
    return DataRecipe(
        reader="folder",
        folder=FolderRecipe(
            metadata=labels, lesion=lesion, target=target, group=group, classes=tuple(sorted(codes.to_list()))
        ),
    )


def first_of(header: Sequence[str], names: Sequence[str], path: Path, what: str) -> str:
    """The first of some names that a table has."""
    found = next((name for name in names if name in header), None)
    if found is None:
        raise DataError(
            f"{path}: no column {what} ({', '.join(names)}); it has {', '.join(header[:8])}. Rename one, or describe "
            "the folder in a recipe (`fusionnetx init`) and name it with --recipe"
        )
    return found


def reshaped(theirs: Cohort, task: Task, told: Mapping[str, str], asked: Elsewhere) -> Cohort:
    """Their lesions under the run's names: answers by their codes, columns that they do not have empty."""
    table, notes = theirs.table, theirs.task
    for name in asked.renamed:
        if name not in table.columns:
            raise DataError(f"--map {name}: there is no such column; there are {', '.join(table.columns[:12])}")
    kept = {ours: table[name] for name, ours in asked.renamed.items()}
    columns = [
        pl.Series(task.lesion, theirs.ids.tolist(), dtype=pl.String),
        *([pl.Series(task.group, theirs.groups.tolist(), dtype=pl.String)] if task.group != task.lesion else []),
        pl.Series(task.target, answers(theirs, task, asked), dtype=pl.Int64),
    ]
    hidden = {task.lesion, task.group, task.target, notes.target, *theirs.forbidden}
    for name, kind in told.items():
        given = kept.get(name, table[name] if name in table.columns and name not in hidden else None)
        dtype = pl.Float64 if kind == "number" else pl.String
        columns.append(
            pl.Series(name, [None] * len(table), dtype=dtype)
            if given is None
            else given.cast(dtype, strict=False).alias(name)
        )
    return Cohort(pl.DataFrame(columns), task, labelled=True, fingerprint=theirs.fingerprint)


def answers(theirs: Cohort, task: Task, asked: Elsewhere) -> list[int]:
    """The run's class of every lesion, by what their class is called."""
    codes = {name: code_of(name, theirs.task, task, asked) for name in theirs.task.classes}
    strange = [name for name, code in codes.items() if code is None]
    if strange:
        raise DataError(
            f"{asked.folder}: it is not known which class of this run ({', '.join(task.classes)}) {examples(strange)} "
            "is; say which of their classes are positive with --positive"
        )
    by_code = [codes[name] for name in theirs.task.classes]
    return [int(by_code[code] or 0) for code in theirs.target.tolist()]


def code_of(name: str, theirs: Task, task: Task, asked: Elsewhere) -> int | None:
    """The run's class of one of their classes; None where nobody can know."""
    if len(task.classes) > 2:
        return next((code for code, own in enumerate(task.classes) if own.lower() == name.lower()), None)
    if asked.positive:
        return int(name in asked.positive)
    if name.lower() in POSITIVE | NEGATIVE:
        return int(name.lower() in POSITIVE)
    # Two classes in the order of every task of two: the second is the positive one.
    return theirs.classes.index(name) if len(theirs.classes) == 2 and asked.labels is None else None


def empty_columns(data: OtherData) -> list[dict[str, float | str]]:
    """Columns that the models learned from and that are missing there, with the share of lesions without a value."""
    table = data.cohort.table
    shares = {
        name: table[name].null_count() / max(1, len(table)) if name in table.columns else 1.0 for name in data.known
    }
    return [{"column": name, "missing_share": share} for name, share in shares.items() if share > 0]


def without_empty(cohort: Cohort) -> Cohort:
    """Without columns that hold nothing, by which nobody can be divided."""
    table = cohort.table
    return replace(cohort, table=table.select(name for name in table.columns if table[name].null_count() < len(table)))
