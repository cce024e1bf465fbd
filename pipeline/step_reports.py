"""The report of a step: whether it can be used, whether the files that it promises are there, what changed since."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from data.files import fingerprint, read_object, sha256_of

CHECKSUM_ON_SKIP_BYTES = 32 * 1024 * 1024
"""Artefacts up to this size are checksummed before a step is skipped; larger ones are compared by size."""

CHECKSUM = "report_sha256"
"""Key of a report's own checksum: a figure in it that was changed is noticed like a changed file."""


def read_step_report(path: Path) -> dict[str, Any] | None:
    """A step's report, or None where there is none that can be used."""
    loaded = read_object(path)
    usable = (
        loaded is not None
        and {"fingerprint", "settings", "artefacts"} <= loaded.keys()
        and _are_facts(loaded["artefacts"])
        and all(isinstance(loaded.get(key, {}), dict) for key in ("settings", "inputs"))
        and is_number(loaded.get("seconds", 0))
        and is_untouched(loaded)
    )
    return loaded if usable else None


def is_untouched(report: dict[str, Any]) -> bool:
    """Whether a report is as it was written; none is without its checksum."""
    facts = {key: value for key, value in report.items() if key != CHECKSUM}
    return report.get(CHECKSUM) == fingerprint(facts)


def _are_facts(artefacts: Any) -> bool:
    """Whether this is what `finish` notes of each file; a name that leads out of the folder is none of ours."""
    return isinstance(artefacts, dict) and all(
        is_inside(name)
        and isinstance(facts, dict)
        and isinstance(facts.get("bytes"), int)
        and isinstance(facts.get("sha256"), str)
        for name, facts in artefacts.items()
    )


def is_number(value: Any) -> bool:
    """Whether a report's figure is one."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_inside(name: str) -> bool:
    """Whether a name stays below the folder that it is relative to."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def artefact_trouble(path: Path, facts: Mapping[str, Any], *, every_byte: bool = False) -> str | None:
    """What is wrong with a file that a report promised."""
    if not path.is_file():
        return "is missing"
    if path.is_symlink():
        return "is a link; a run keeps its files itself"
    if path.stat().st_size != facts["bytes"]:
        return f"is damaged ({path.stat().st_size} bytes instead of {facts['bytes']})"
    if (every_byte or facts["bytes"] <= CHECKSUM_ON_SKIP_BYTES) and sha256_of(path) != facts["sha256"]:
        return "is damaged (its checksum differs)"
    return None


def describe_changes(old: Any, new: Any, most: int = 6) -> str:
    """The keys that differ between two nested values, with both values."""
    lines = list(changed_keys(old, new, ""))
    shown = "; ".join(lines[:most])
    return shown + (f"; and {len(lines) - most} more" if len(lines) > most else "")


def changed_keys(old: Any, new: Any, path: str) -> Iterator[str]:
    """`path old -> new` for every leaf that differs."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            here = f"{path}.{key}" if path else str(key)
            if key not in old:
                yield f"{here} is new"
            elif key not in new:
                yield f"{here} is gone"
            else:
                yield from changed_keys(old[key], new[key], here)
    elif fingerprint(old) != fingerprint(new):
        checksums = path.startswith("inputs.")
        label = path.removeprefix("settings.").removeprefix("inputs.")
        yield f"{label} (its content)" if checksums else f"{label} {old!r} -> {new!r}"
