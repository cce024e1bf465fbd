"""From a frame and a few words to a recipe: which column is what, and what the shipped recipe makes of the rest."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from data.errors import DataError
from pipeline.recipe import Recipe, find_recipe, parse_recipe
from pipeline.recipe_changes import apply_change, nearest

TRUE = frozenset({"1", "1.0", "true", "True", "TRUE", "yes", "malignant"})
"""How tables spell the positive of two classes."""
TABLE_RECIPE = "table"


@dataclass(frozen=True)
class Columns:
    """What a caller says of a table's columns."""

    target: str
    group: str | None = None
    lesion: str | None = None
    positive: Sequence[str] = ()
    forbidden: Sequence[str] = ()

    def named(self) -> tuple[str, ...]:
        """Columns that are no features."""
        return tuple(name for name in (self.lesion, self.group, self.target, *self.forbidden) if name)


def recipe_for(path: Path, columns: Columns, images: Path | None, base: str | None, changes: Sequence[str]) -> Recipe:
    """The recipe of a table at `path`, on the shipped one or on the one that is named."""
    table = pl.read_csv(path, infer_schema=False)
    refuse_absent(columns, table.columns)
    raw: dict[str, Any] = tomllib.loads(find_recipe(base or TABLE_RECIPE).read_text(encoding="utf-8"))
    data = raw.setdefault("data", {})
    for key in ("twin", "synthetic", "pairing"):
        data.pop(key, None)
    data["reader"] = "folder"
    data["folder"] = {
        "metadata": path.name,
        "lesion": columns.lesion,
        "group": columns.group or "",
        "target": columns.target,
        "images": "" if images is None else str(images.resolve()),
        "forbidden": list(columns.forbidden),
        "score": data.get("folder", {}).get("score", "auc"),
        **classes_of(table[columns.target], columns),
    }
    features = raw.setdefault("features", {})
    features["extra_columns"] = [name for name in table.columns if name not in columns.named()]
    if images is None:
        raw["image_models"] = []
    for change in changes:
        apply_change(raw, change)
    return parse_recipe(raw, origin=f"for {path}")


def refuse_absent(columns: Columns, known: Sequence[str]) -> None:
    """DataError for a column that the table does not have."""
    for name in columns.named():
        if name not in known:
            raise DataError(f"the table has no column {name!r}{nearest(name, known)}; it has {', '.join(known)}")


def classes_of(target: pl.Series, columns: Columns) -> dict[str, Any]:
    """Which values of the target are positive, or its classes where there are more than two."""
    values = sorted(target.drop_nulls().unique().to_list())
    if len(values) < 2:
        raise DataError(f"column {columns.target!r} holds {len(values)} different values; a target has two or more")
    if columns.positive:
        return {"positive": [str(value) for value in columns.positive]}
    if len(values) > 2:
        return {"classes": values}
    found = [value for value in values if value in TRUE]
    if len(found) != 1:
        raise DataError(
            f"column {columns.target!r} holds {values[0]!r} and {values[1]!r}: say which is the positive one, for "
            f"instance positive=[{values[1]!r}]"
        )
    return {"positive": found}
