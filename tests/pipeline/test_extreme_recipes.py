"""Every number of a recipe at its extremes: refused by name, or one of the few that mean something at any size."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from data.errors import RecipeError
from pipeline.recipe import load_recipe, parse_recipe, shipped_recipes
from pipeline.recipe_changes import apply_change

EXTREMES = (10**12, 2**63 - 1, 2**70, 1e300, -(10**12), -1e300)
ANY_SIZE = ("seed",)
"""Where every whole number below 2**63 means something."""


def numbers(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every number of a nested table."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from numbers(inner, (*path, key))
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield path


def optional_numbers(schema: dict[str, Any], part: dict[str, Any], path: tuple[Any, ...] = ()) -> Iterator[Any]:
    """The path of every number of the schema that a recipe may leave out, lists and named tables aside."""
    if "$ref" in part:
        part = schema["$defs"][part["$ref"].rpartition("/")[2]]
    for option in part.get("anyOf", ()):
        yield from optional_numbers(schema, option, path)
    if part.get("type") in ("integer", "number"):
        yield path
    for key, inner in part.get("properties", {}).items():
        yield from optional_numbers(schema, inner, (*path, key))


def put(raw: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(raw)
    holder: Any = changed
    for key in path[:-1]:
        if isinstance(holder, dict) and holder.get(key) is None:
            holder[key] = {}
        holder = holder[key]
    holder[path[-1]] = value
    return changed


def tries() -> Iterator[tuple[dict[str, Any], tuple[Any, ...]]]:
    from pipeline.recipe import Recipe

    seen = set()
    schema = Recipe.model_json_schema()
    for name in ("demo", "fusionnetx"):
        raw = load_recipe(name).model_dump(mode="json", exclude_none=True)
        for path in (*numbers(raw), *optional_numbers(schema, schema)):
            # Entries of a list have the same bounds; parameters have those of their learner.
            kind = tuple("" if isinstance(key, int) else key for key in path)
            if kind not in seen:
                seen.add(kind)
                yield raw, path


def test_extreme_numbers_are_refused_in_the_recipe() -> None:
    taken: list[Any] = []
    long: list[Any] = []
    tried = 0
    for raw, path in tries():
        for extreme in EXTREMES:
            tried += 1
            try:
                parse_recipe(put(raw, path, extreme), "x")
            except RecipeError as error:
                long += [path] if len(str(error)) >= 2000 else []
            else:
                if not (path[-1] in ANY_SIZE and 0 <= extreme < 2**63):
                    taken.append((".".join(map(str, path)), extreme))
    assert (taken, long) == ([], [])
    assert tried > 500


def test_a_bound_says_why() -> None:
    raw = load_recipe("demo").model_dump(mode="json", exclude_none=True)
    with pytest.raises(RecipeError, match=r"image_models\[0\].*hidden = 9223372036854775807: at most 8,192: a wider"):
        parse_recipe(put(raw, ("image_models", 0, "hidden"), 2**63 - 1), "x")
    with pytest.raises(RecipeError, match=r"max_depth = 1000000000000: .* to 64: a tree of that depth"):
        parse_recipe(put(raw, ("tabular", "members", 0, "parameters", "max_depth"), 10**12), "x")
    space = {"lightgbm": {"max_depth": {"low": 1, "high": 10**12}}}
    with pytest.raises(RecipeError, match="max_depth = 1000000000000"):
        parse_recipe(put(raw, ("tabular", "tune", "spaces"), space), "x")


@pytest.mark.parametrize(
    "change",
    [
        ".".join(["a"] * 40) + "=1",
        ".".join(["a"] * 30_000) + "=1",
        "image_models[²].epochs=3",
        "image_models[" + "9" * 5000 + "].epochs=3",
        "image_models[٠].epochs=3",
        "seed=" + "9" * 5000,
        "seed=0x" + "f" * 5000,
        "seed=" + "[" * 500 + "]" * 500,
        "seed={" + "a={" * 60 + "}" * 61,
    ],
)
def test_hostile_changes_are_refused_in_one_message(change: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(changed(change), "x")
    assert len(str(caught.value)) < 1000


def changed(change: str) -> dict[str, Any]:
    raw = load_recipe("demo").model_dump(mode="json", exclude_none=True)
    apply_change(raw, change)
    return raw


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"[{'.'.join(['a'] * 200)}]\n{'.'.join(['b'] * 200)} = 1" for _ in range(1)),
        "seed = 0x" + "f" * 5000,
        "a = " + "[" * 100 + "]" * 100,
    ],
)
def test_hostile_files_are_refused_in_one_message(text: str, tmp_path: Any) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match="not valid TOML") as caught:
        load_recipe(str(path))
    assert len(str(caught.value)) < 1000


def test_the_shipped_recipes_are_within_the_bounds() -> None:
    assert all(load_recipe(name) for name in shipped_recipes())
