"""Frames in and out, and from a frame and a few words to a recipe: what `fusionnetx init` sees, on a shipped recipe."""

import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import polars as pl

from data.errors import DataError
from data.files import atomic
from data.held import scratch_folder
from data.own.proposal import Proposal, Said, propose
from data.own.roles import refuse_unsure
from features.columns import FORBIDDEN
from pipeline.actions.draft import model_table
from pipeline.actions.init import chosen_network, opened
from pipeline.recipe import Recipe, find_recipe, parse_recipe
from pipeline.recipe_changes import apply_change
from pipeline.runtime import weights_folder

TABLE_RECIPE = "table"


@dataclass(frozen=True)
class TableRecipe:
    """A recipe for a table, and what a person should know of how it came about."""

    recipe: Recipe
    notes: tuple[str, ...]


def recipe_for(path: Path, said: Said, images: Path | None, base: str | None, changes: Sequence[str]) -> TableRecipe:
    """The recipe of a table at `path`, on the shipped one or on the one that is named."""
    source = None if images is None else opened(images)
    stems = None if source is None else [str(name) for name in source.ids]
    proposal = propose(path, replace(said, never=FORBIDDEN), refuse_unsure, stems=stems)
    raw: dict[str, Any] = tomllib.loads(find_recipe(base or TABLE_RECIPE).read_text(encoding="utf-8"))
    data = raw.setdefault("data", {})
    score = data.get("folder", {}).get("score", "auc")
    for key in ("twin", "synthetic", "pairing"):
        data.pop(key, None)
    data["reader"] = "folder"
    where = "" if images is None else str(images.resolve())
    data["folder"] = {**proposal.folder_table(path.name, where), "score": score}
    raw.setdefault("folds", {}).setdefault("count", proposal.folds)
    raw["folds"]["count"] = min(raw["folds"]["count"], proposal.folds)
    raw.setdefault("features", {})["extra_columns"] = [column.name for column in proposal.features]
    if source is None:
        raw["image_models"] = []
    elif base is None:
        model = chosen_network(proposal, source, weights_folder()).model
        raw["image_models"], data["image_size"] = [model_table(model)], model.image_size
    for change in changes:
        apply_change(raw, change)
    return TableRecipe(parse_recipe(raw, origin=f"for {path}"), tuple(notes_of(proposal)))


def notes_of(proposal: Proposal) -> list[str]:
    """What was left out and why, and what was taken for missing."""
    giving = [f"{one}; it is left out: name it in keep=[...] to use it" for one in proposal.suspects]
    names = {one.name for one in proposal.suspects} | set(proposal.said.forbidden)
    out = [f"{name} ({why})" for name, why in proposal.left_out.items() if name not in names]
    return [*giving, *proposal.warnings, *([f"no feature is made of {', '.join(out)}"] if out else [])]


Kind = Literal["pandas", "polars"]
Frame = Any
"""A pandas or a polars DataFrame."""


def kind_of(frame: Frame) -> Kind:
    """Which library a frame is of; DataError for anything else."""
    if isinstance(frame, pl.DataFrame):
        return "polars"
    if type(frame).__module__.partition(".")[0] == "pandas" and hasattr(frame, "to_csv"):
        return "pandas"
    raise DataError(
        f"a table is a pandas or polars DataFrame or a folder, not {type(frame).__name__}: read the file first, for "
        "instance with pandas.read_csv"
    )


def write_frame(frame: Frame, path: Path) -> None:
    """Write a frame as the CSV file that readers take."""
    names = [str(name) for name in frame.columns]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise DataError(f"the table has two columns called {doubled[0]!r}; rename one")
    with atomic(path) as temporary:
        if kind_of(frame) == "polars":
            frame.write_csv(temporary)
        else:
            frame.to_csv(temporary, index=False)


@contextmanager
def as_file(frame: Frame) -> Iterator[Path]:
    """A frame as a CSV file for as long as it is needed."""
    with scratch_folder() as folder:
        path = folder / "table.csv"
        write_frame(frame, path)
        yield path


def as_kind(frame: pl.DataFrame, kind: Kind) -> Frame:
    """A frame of the kind that was given."""
    if kind == "polars":
        return frame
    import pandas

    return pandas.DataFrame({name: frame[name].to_list() for name in frame.columns})
