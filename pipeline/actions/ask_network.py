"""`predict --model`: one network of a run asked alone, of a table or of a single lesion; no stage two."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data.cohort import Cohort
from data.errors import DataError
from data.files import finite
from data.images.cleaned import clean_source
from data.images.decode import pixels
from data.images.sources import ImageSource, OneImage
from data.new_lesions import NewLesions, at_hand, new_lesions
from data.readers import READERS
from data.recipe import task_of
from data.tables.near import did_you_mean
from features.vector import CategoryColumn, NumberColumn, VectorEncoder
from pipeline.actions.predict import probability_frame, refuse_unfinished, warn_of_invented
from pipeline.answer_files import refuse_bad_target, refuse_too_many, write_answers
from pipeline.columns import stacked
from pipeline.facts import finished_fold_count, recorded_facts
from pipeline.new_images import columns_of_parts
from pipeline.plan import plan
from pipeline.run import Run
from pipeline.runtime import Runtime
from pipeline.step import Step
from pipeline.steps.fold_model import fold_model_of
from pipeline.steps.metadata import stored_encoder

ALONE = "lesion"
"""What a lesion without an image is called."""


@dataclass(frozen=True)
class OneLesion:
    """A lesion that no table holds."""

    image: Path | None
    told: Sequence[str]
    """`column=value`, as the table of the training data has them."""


def run_network(run: Run, runtime: Runtime, name: str, given: OneLesion | tuple[Path, Path | None],
                out: Path | None) -> None:  # fmt: skip
    """Say, or write, what a network alone says of a table or of one lesion."""
    images = given.image if isinstance(given, OneLesion) else given[1]
    table = None if isinstance(given, OneLesion) else given[0]
    if out is not None:
        refuse_bad_target(out, (table, images), run.folder)
    steps = network_steps(run, name)
    with opened_lesions(run, runtime, steps, given) as lesions:
        for note in lesions.notes:
            runtime.display.warn(note)
        warn_of_invented(run, runtime, table or images or Path())
        runtime.display.say(f"{name} alone, the mean of its {len(steps)} fold models; not calibrated")
        frames = network_frames(run, runtime, steps, lesions)
        if isinstance(given, OneLesion):
            frames = [frame] = list(frames)
            for column in lesions.whole.task.probability_columns:
                runtime.display.say(f"{column} {frame[column][0]:.4g}")
        if out is not None:
            refuse_too_many(out, lesions.rows)
            write_answers(frames, out)
            runtime.display.say(f"wrote {lesions.rows:,} probabilities to {out}")


def opened_lesions(
    run: Run, runtime: Runtime, steps: Sequence[Step], given: OneLesion | tuple[Path, Path | None]
) -> AbstractContextManager[NewLesions]:
    """The lesions of a table, or the one."""
    if isinstance(given, OneLesion):
        return nullcontext(at_hand(*one_lesion(run, runtime, steps, given)))
    return new_lesions(run.recipe.data, *given)


def network_frames(run: Run, runtime: Runtime, steps: Sequence[Step], lesions: NewLesions) -> Iterable[pl.DataFrame]:
    """What it says, part by part: the mean of its fold models, each with the encoder that lies beside it."""
    found = columns_of_parts(steps, run.recipe.data, runtime, lesions, lesions.images, lesions.rows)
    name = fold_model_of(steps[0]).model.name
    # The scores first: after the last of them comes the word on images that are missing.
    for scores, part in zip(found, lesions, strict=True):
        yield probability_frame(part, stacked({one: scores[one].to_numpy() for one in scores.columns[1:]}, name))


def network_steps(run: Run, name: str) -> tuple[Step, ...]:
    """The fold models of a network; DataError for an unknown one, and for one that is not finished or not whole."""
    known = [model.name for model in run.recipe.image_models]
    if name not in known:
        there = f"it has {', '.join(known)}" if known else "its recipe has none"
        raise DataError(f"{run.folder} has no image model {name!r}{did_you_mean(name, known)}; {there}")
    every = plan(run, recorded_facts(run), finished_fold_count(run)).fold_models
    steps = tuple(step for step in every if fold_model_of(step).model.name == name)
    refuse_unfinished(run, steps, "oof")
    return steps


def one_lesion(
    run: Run, runtime: Runtime, steps: Sequence[Step], given: OneLesion
) -> tuple[Cohort, ImageSource | None]:
    """A table of one row and its image; what is not told is missing."""
    recipe, model = run.recipe.data, fold_model_of(steps[0]).model
    task, pictures = task_of(recipe), READERS[recipe.reader].pictures
    if task is None or pictures:
        why = f"its lesions have {' and '.join(pictures)}" if pictures else "its rows are made of two data sets"
        raise DataError(f"{run.folder} is of reader {recipe.reader!r} ({why}): give a table with --metadata")
    if (given.image is None) != (model.backbone == "none"):
        raise DataError(f"{model.name} sees no image: leave out --image" if given.image else
                        f"{model.name} sees images: give one with --image")  # fmt: skip
    encoders = [stored_encoder(model, step.folder) for step in steps] if model.metadata.columns else []
    name = ALONE if given.image is None else given.image.stem
    row = told_row(model.name, encoders, given.told, runtime)
    table = pl.DataFrame({task.lesion: [name], task.group: [name]}).with_columns(row)
    source = None if given.image is None else readable(given.image)
    return Cohort(table, task, labelled=False), clean_source(source, recipe.clean)


def readable(path: Path) -> ImageSource:
    """The source of one image; DataError with the reason where it is none."""
    source = OneImage(path)
    try:
        pixels(source.read(path.stem))
    except DataError as error:
        raise DataError(f"--image {path}: {error}") from error
    return source


def told_row(model: str, encoders: Sequence[VectorEncoder], told: Sequence[str], runtime: Runtime) -> list[pl.Series]:
    """A value for every column that the network is told."""
    columns = {column.name: column for column in encoders[0].columns} if encoders else {}
    values = dict.fromkeys(columns, "")
    for one in told:
        name, sign, value = (part.strip() for part in one.partition("="))
        if not sign:
            raise DataError(f"--tell {one}: write it as column=value")
        if name not in columns:
            there = f"it is told {', '.join(columns)}" if columns else "it is told nothing but the image"
            raise DataError(f"--tell {one}: {model} has no column {name!r}{did_you_mean(name, columns)}; {there}")
        values[name] = value
    found = []
    for name, value in values.items():
        if isinstance(columns[name], NumberColumn):
            found.append(pl.Series(name, [number(name, value)], pl.Float64))
            continue
        fitted = [column for one in encoders for column in one.columns if isinstance(column, CategoryColumn)]
        known = {value for column in fitted if column.name == name for value in column.values}
        if value and value not in known:
            runtime.display.warn(f"{name} {value!r} was not in training{did_you_mean(value, known)}")
        found.append(pl.Series(name, [value or None], pl.String))
    if absent := [name for name, value in values.items() if not value]:
        runtime.display.warn(f"not told, so taken as missing: {', '.join(absent)}")
    return found


def number(name: str, value: str) -> float | None:
    """A number, or None for an empty value."""
    try:
        return finite(float(value)) if value else None
    except ValueError as error:
        raise DataError(f"--tell {name}={value}: the models were told numbers of {name}") from error
