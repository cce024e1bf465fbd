"""`--set key=value`: one key of a recipe changed on the command line; and the TOML that recipes are read from.

Both are input like any other: how deep it is nested, how many dots a line has and how long a number is are looked at
before anything follows them.
"""

import re
import tomllib
from collections.abc import Iterable
from typing import Any

from data.errors import RecipeError
from data.tables.near import did_you_mean

MAX_DOTS = 256
"""In one line. The parser takes time with the square of a key's dots: six seconds for 16,000."""
MAX_DEPTH = 32
"""Tables in tables. A recipe has five; a few hundred end every program that follows them by recursion."""
MAX_WHOLE_NUMBER = 2**64
"""No key takes one as large."""
INDEX = re.compile(r"[0-9]{1,6}")
"""A place in a list; other digits than these, and more of them, are none."""


def read_toml(text: str) -> dict[str, Any]:
    """Parse TOML; ValueError when it is none, or nested deeper or with longer numbers than any recipe."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.count(".") > MAX_DOTS:
            raise ValueError(f"line {number} has {line.count('.'):,} dots")
    try:
        found = tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    require_shallow(found)
    return found


def require_shallow(value: Any) -> None:
    """ValueError for what is nested too deep or holds a number beyond all; goes by levels, not by recursion."""
    level = [("", value)]
    for _ in range(MAX_DEPTH):
        level = [inner for _, one in level for inner in children(one)]
        if not level:
            return
        if large := [key for key, one in level if isinstance(one, int) and abs(one) > MAX_WHOLE_NUMBER]:
            raise ValueError(f"{large[0]} is a whole number of more than 20 digits")
    raise ValueError("it is nested too deep")


def children(value: Any) -> Iterable[tuple[str, Any]]:
    """What stands in a table or a list, each with its key."""
    if isinstance(value, dict):
        return value.items()
    return ((f"[{place}]", inner) for place, inner in enumerate(value)) if isinstance(value, list) else ()


def apply_change(raw: dict[str, Any], change: str) -> None:
    """Apply one `--set`: `seed=1`, `image_models[0].epochs=3`; a list entry by index, by its name, or `*` for all."""
    key, equals, text = change.partition("=")
    steps = re.findall(r"[^.\[\]]+", key)
    shown = change if len(change) <= 200 else f"{change[:200]}..."
    if not equals or not steps:
        raise RecipeError(f"--set {shown}: write key=value, for instance --set seed=7")
    if len(steps) >= MAX_DEPTH:
        raise RecipeError(f"--set {shown}: no key of a recipe is nested that deep")
    try:
        parsed = read_toml(f"value = {text}")
    except ValueError:
        parsed = {"value": text}
    if list(parsed) != ["value"]:
        raise RecipeError(f"--set {shown!r}: one key and one value are needed; repeat --set for another")
    value = parsed["value"]
    containers: list[Any] = [raw]
    for step in steps[:-1]:
        containers = [inner for container in containers for inner in descend(container, step, shown)]
    for container in containers:
        put(container, steps[-1], value, shown)


def put(container: Any, step: str, value: Any, change: str) -> None:
    """Set one entry of a table or of a list."""
    if isinstance(container, dict):
        container[step] = value
    elif isinstance(container, list) and is_place(container, step):
        container[int(step)] = value
    elif isinstance(container, list):
        raise RecipeError(f"--set {change}: name an entry of the list, for instance --set image_models[0].epochs=3")
    else:
        raise RecipeError(f"--set {change}: {step!r} stands under the single value {container!r}, not under a table")


def descend(container: Any, step: str, change: str) -> list[Any]:
    """The tables that one step of a `--set` path leads to."""
    if isinstance(container, dict):
        return [container.setdefault(step, {})]
    if not isinstance(container, list):
        raise RecipeError(f"--set {change}: {step!r} stands under the single value {container!r}, not under a table")
    names = [str(entry.get("name", i)) if isinstance(entry, dict) else str(i) for i, entry in enumerate(container)]
    if step == "*":
        return list(container)
    if step in names:
        return [container[names.index(step)]]
    if is_place(container, step):
        return [container[int(step)]]
    hint = did_you_mean(step, names, 0.5)
    raise RecipeError(f"--set {change}: no entry {step[:50]!r}{hint}; there are {', '.join(names)}")


def is_place(entries: list[Any], step: str) -> bool:
    """Whether a step of a path is the index of an entry."""
    return INDEX.fullmatch(step) is not None and int(step) < len(entries)
