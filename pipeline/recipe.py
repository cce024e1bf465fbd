"""The recipe: one TOML file that says everything about a run, read strictly.

Each package owns its part; this module only joins the parts, applies `--set key=value` and turns a
validation failure into one message with the path, the value and the nearest known key.
"""

import dataclasses
import json
import math
import re
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, Field, ValidationError, model_validator

from data.errors import RecipeError
from data.folds import FoldRecipe
from data.recipe import DataRecipe
from data.strict import Strict
from data.tables.near import did_you_mean
from features.recipe import FeatureRecipe
from image_models.recipe import RETIRED_KEYS, ImageModelRecipe
from pipeline.recipe_changes import apply_change, read_toml
from tabular.recipe import TabularRecipe


class ResourcesRecipe(Strict):
    """What each kind of job takes; nothing here is part of a fingerprint.

    No machine has more than 1024 cores to ask for.
    """

    image_model_cpus: int = Field(default=0, ge=0, le=1024)
    """Threads of one image model; 0: three beside a GPU; on a processor one, where models run side by side, or, where
    there are several cores for each model of the run, as many as were measured to be worth it. No machine has more than
    1024 cores, here and below."""
    image_model_gpus: float | None = Field(default=None, ge=0, le=1)
    """Share of a GPU for one image model, 0.5 for two on a GPU at once; left out: a quarter where there is any."""
    image_models_at_once: int = Field(default=0, ge=0, le=1024)
    """Image models side by side on this machine, each in a process of its own; 0: as many as cores, GPUs and memory
    allow."""
    booster_threads: int = Field(default=1, ge=1, le=1024)
    """Threads of one booster. One thread each, side by side, waits less than all threads on one booster."""
    boosters_at_once: int = Field(default=0, ge=0, le=1024)
    """Boosters that one process fits side by side; 0: as many as the cores hold. Fewer take less memory."""
    search_threads: int = Field(default=0, ge=0, le=1024)
    """Threads of one search, shared by its trials at the same time; 0: the cores of the machine that starts the run."""
    retries: int = Field(default=3, ge=0, le=1000)
    """How often a cluster starts a job again whose worker or node died; what dies a thousand times always will."""


RESERVED_NAMES = frozenset({"lesion_id", "fold", "blend"})
"""Columns that the tables of a run have beside those of the models and members."""

MAX_BYTES = 2**17
"""The longest shipped recipe, defaults written out, has a tenth of it."""


class Recipe(Strict):
    """Everything that decides the result of a run."""

    description: str = ""
    seed: int = Field(default=42, ge=0, lt=2**63)
    data: DataRecipe = DataRecipe()
    folds: FoldRecipe = FoldRecipe()
    image_models: tuple[ImageModelRecipe, ...] = ()
    features: FeatureRecipe = FeatureRecipe()
    tabular: TabularRecipe = TabularRecipe()
    resources: ResourcesRecipe = ResourcesRecipe()

    @property
    def sees_images(self) -> bool:
        """Whether any model of the recipe has a backbone; otherwise no image is read or packed."""
        return any(model.backbone != "none" for model in self.image_models)

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Recipe":
        for kind, names in (
            ("image_models", [model.name for model in self.image_models]),
            ("tabular.members", [member.name for member in self.tabular.members]),
        ):
            doubled = sorted({name for name in names if names.count(name) > 1})
            if doubled:
                raise ValueError(f"{kind}: two entries are named {doubled[0]!r}; give each its own name")
            taken = sorted(set(names) & RESERVED_NAMES)
            if taken:
                raise ValueError(f"{kind}: {taken[0]!r} is a column of every table of a run; choose another name")
        blank = [model.name for model in self.image_models if model.held_stages and model.pretrained == "none"]
        if blank:
            raise ValueError(f'image model {blank[0]!r}: held_stages keeps weights, and pretrained = "none" has none')
        both = sorted({m.name for m in self.image_models} & {m.name for m in self.tabular.members})
        if both:
            raise ValueError(f"an image model and a member are both named {both[0]!r}; give each its own name")
        return self


def shipped_recipes() -> dict[str, Path]:
    """Name and file of every recipe that comes with the project."""
    folder = Path(str(files("pipeline"))) / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def find_recipe(name: str) -> Path:
    """The file of a shipped recipe, or the file that `name` is the path of."""
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise RecipeError(f"recipe file {name} does not exist; `fusionnetx recipes` lists the shipped ones")
        return path
    shipped = shipped_recipes()
    if name not in shipped:
        raise RecipeError(
            f"no recipe is called {name!r}{did_you_mean(name, shipped, 0.5)}; shipped: {', '.join(shipped)}; "
            "or give the path of a .toml file"
        )
    return shipped[name]


def load_recipe(name: str, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe by name or path and apply `key=value` changes."""
    path = find_recipe(name)
    if path.stat().st_size > MAX_BYTES:
        raise RecipeError(f"recipe {path} has {path.stat().st_size:,} bytes; a recipe has at most {MAX_BYTES:,}")
    try:
        raw = read_toml(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RecipeError(f"recipe {path} is not valid TOML: {str(error)[:500]}") from error
    for change in changes:
        apply_change(raw, change)
    return parse_recipe(raw, origin=str(path))


def parse_recipe(raw: dict[str, Any], origin: str) -> Recipe:
    """Validate; JSON is the strict mode in which TOML's arrays may become tuples."""
    forget_retired_keys(raw)
    infinite = [f"  {path} = {value}: a finite number is needed" for path, value in not_finite(raw, "")]
    if infinite:
        raise RecipeError(f"recipe {origin} cannot be used:\n" + "\n".join(infinite))
    try:
        return Recipe.model_validate_json(json.dumps(raw, default=str))
    except ValidationError as error:
        lines = [explain(raw, detail) for detail in error.errors(include_url=False, include_context=False)]
        unique = list(dict.fromkeys(lines))
        raise RecipeError(f"recipe {origin} cannot be used:\n" + "\n".join(f"  {line}" for line in unique)) from error


def forget_retired_keys(raw: dict[str, Any]) -> None:
    """Take out keys that recipe files of finished runs hold and that have no other value any more."""
    models = raw.get("image_models")
    for model in models if isinstance(models, list) else ():
        for key, value in RETIRED_KEYS.items():
            if isinstance(model, dict) and model.get(key) is value:
                del model[key]


def not_finite(value: Any, path: str) -> Iterable[tuple[str, float]]:
    """Every inf and nan, which TOML can spell but no key can mean, with its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from not_finite(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from not_finite(inner, f"{path}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        yield path, value


def recipe_text(recipe: Recipe) -> str:
    """The whole recipe, defaults included, as TOML that reads back to the same recipe."""
    return "\n".join(toml_lines(recipe.model_dump(mode="json"), ())) + "\n"


def toml_lines(table: dict[str, Any], path: tuple[str, ...]) -> Iterable[str]:
    """TOML of a nested dictionary: plain values first, then tables and arrays of tables; None is left out."""
    tables: list[tuple[str, Any]] = []
    for key, value in table.items():
        if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict)):
            tables.append((key, value))
        elif value is not None:
            yield f"{toml_key(key)} = {toml_value(value)}"
    for key, value in tables:
        here = (*path, toml_key(key))
        for entry, header in (
            [(value, f"[{'.'.join(here)}]")]
            if isinstance(value, dict)
            else [(entry, f"[[{'.'.join(here)}]]") for entry in value]
        ):
            yield ""
            yield header
            yield from toml_lines(entry, here)


def toml_key(key: str) -> str:
    """A bare key where TOML allows one, else a quoted one."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else toml_value(key)


def toml_value(value: Any) -> str:
    """JSON's spelling is TOML's too, but for the one control character that JSON leaves as it is."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")


def explain(raw: Any, detail: Any) -> str:
    """One line for one validation failure: path, value, what is wrong, nearest known key."""
    path, value, annotation = "", raw, Recipe
    parent: Any = Recipe
    for step in detail["loc"]:
        if isinstance(value, dict) and isinstance(step, str):
            parent, annotation = annotation, field_type(annotation, step)
            path += f".{step}" if path else step
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            annotation = item_type(annotation)
            path += f"[{step}]"
            value = value[step]
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        key = path.rpartition(".")[2]
        known = field_names(parent)
        return f"{path} = {brief(value)}: unknown key{did_you_mean(key, known, 0.5)}; known: {', '.join(known)}"
    if detail["type"] in ("missing", "missing_argument") and isinstance(detail["loc"][-1], int):
        return f"{path} = {value!r}: one more entry is needed"
    if detail["type"] in ("missing", "missing_argument"):
        return f"{path}: this key is required and is not there"
    shown = "" if isinstance(value, dict | list) or not path else f" = {brief(value)}"
    return f"{path}{shown}: {message}" if path else message


def brief(value: Any) -> str:
    """A value as it would be written, cut short when it fills the screen."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def field_names(annotation: Any) -> list[str]:
    """Keys that a recipe part knows."""
    for kind in alternatives(annotation):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return list(kind.model_fields)
        if dataclasses.is_dataclass(kind):
            return [field.name for field in dataclasses.fields(kind)]
    return []


def field_type(annotation: Any, key: str) -> Any:
    """Type of one key of a recipe part."""
    for kind in alternatives(annotation):
        if isinstance(kind, type) and issubclass(kind, BaseModel) and key in kind.model_fields:
            return kind.model_fields[key].annotation
        if dataclasses.is_dataclass(kind):
            for field in dataclasses.fields(kind):
                if field.name == key:
                    return field.type
        if get_origin(kind) is dict:
            return get_args(kind)[1]
    return None


def item_type(annotation: Any) -> Any:
    """Type of the entries of a list."""
    for kind in alternatives(annotation):
        if get_origin(kind) in (tuple, list):
            return get_args(kind)[0]
    return None


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, or the type itself."""
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
