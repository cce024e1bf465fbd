"""Ways in which a file of a run folder can be wrong: by accident, by another version, by somebody's intent.

Each takes the path of a sound file and a random generator, and leaves something else in its place. A forged damage
keeps every checksum in step, so that what lies behind the checksums is tried.
"""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from data.files import fingerprint, sha256_of
from pipeline.facts import REPORTS
from pipeline.step_reports import CHECKSUM

Change = Callable[[Path, Random], object]
DEEP = 100_000
SPARSE_BYTES = 200 * 2**30
HOSTILE: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**30, 1e308, float("nan"), float("inf"), "", "x" * 100_000, "../../outside.txt", "\u202e"),
    *([], {}, [[]], {"": {}}, ["fold"], {"sha256": 1}),
)
"""What JSON can hold where something else is expected; NaN and infinity are what Python alone reads and writes."""


@dataclass(frozen=True)
class Damage:
    """One way."""

    name: str
    change: Change
    of_json: bool = False
    """Of files that hold JSON alone."""
    forged: bool = False
    """With the checksums that belong to it: results may then rightly be others."""


def gone(path: Path, _random: Random) -> None:
    """No file at all."""
    path.unlink()


def emptied(path: Path, _random: Random) -> None:
    """A file of no bytes."""
    path.write_bytes(b"")


def cut(path: Path, random: Random) -> None:
    """The beginning alone."""
    os.truncate(path, random.randrange(max(1, path.stat().st_size)))


def flipped(path: Path, random: Random) -> None:
    """One bit."""
    content = bytearray(path.read_bytes())
    if content:
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    path.write_bytes(content)


def noise(path: Path, random: Random) -> None:
    """Bytes that mean nothing."""
    path.write_bytes(random.randbytes(4096))


def grown(path: Path, _random: Random) -> None:
    """A sparse file of 200 GiB, which takes no room on the disk."""
    os.truncate(path, SPARSE_BYTES)


def misplaced(path: Path, random: Random) -> None:
    """The step's whole folder in another's place, and that in its own: nothing in either is damaged."""
    own = path.parent
    others = [one for one in own.parent.parent.glob(f"*/{own.name}") if one != own and (one / path.name).is_file()]
    others += [one for one in own.parent.glob("*") if one != own and (one / path.name).is_file()]
    if not others:
        return flipped(path, random)
    other, aside = random.choice(sorted(others)), own.with_name("aside")
    own.rename(aside)
    other.rename(own)
    aside.rename(other)
    return None


def pipe(path: Path, _random: Random) -> None:
    """A pipe that nobody writes to: whoever opens it waits for ever."""
    path.unlink()
    os.mkfifo(path)


def folder(path: Path, _random: Random) -> None:
    """A folder of the same name."""
    path.unlink()
    path.mkdir()


def endless(path: Path, _random: Random) -> None:
    """A link to a device that never ends."""
    path.unlink()
    path.symlink_to("/dev/zero")


def elsewhere(path: Path, _random: Random) -> None:
    """A link to the same file outside the run."""
    moved = path.parent.parent / f"moved-{path.name}"
    shutil.move(path, moved)
    path.symlink_to(moved)


def deep(path: Path, _random: Random) -> None:
    """JSON nested deeper than any reader follows."""
    path.write_text('{"a":' * DEEP + "1" + "}" * DEEP)


def other_top(path: Path, random: Random) -> None:
    """JSON that is no object."""
    path.write_text(json.dumps(random.choice(HOSTILE)))


def other_value(path: Path, random: Random) -> None:
    """One value, wherever it stands, of another type or size."""
    content = json.loads(path.read_text())
    places = list(places_in(content))
    if places:
        holder, key = random.choice(places)
        holder[key] = random.choice(HOSTILE)
    path.write_text(json.dumps(content))


def lost_value(path: Path, random: Random) -> None:
    """One key less."""
    content = json.loads(path.read_text())
    places = list(places_in(content))
    if places:
        holder, key = random.choice(places)
        del holder[key]
    path.write_text(json.dumps(content))


def outside_name(path: Path, random: Random) -> None:
    """An artefact whose name leads out of the run."""
    content = json.loads(path.read_text())
    if isinstance(content.get("artefacts"), dict):
        name = random.choice(("/proc/kmsg", "/dev/zero", "../../../outside.txt", "/etc/passwd", "", ".", "a\0b"))
        content["artefacts"][name] = {"bytes": 0, "sha256": "0" * 64}
    path.write_text(json.dumps(content))


def places_in(value: Any) -> Any:
    """Every holder and key of a nested value."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield value, key
        yield from places_in(inner)


def forged(change: Change) -> Change:
    """The same damage with the checksums that belong to it, as somebody leaves it who wants to be believed."""

    def change_and_vouch(path: Path, random: Random) -> None:
        change(path, random)
        if path.name in REPORTS:
            own_checksum(path)
        elif path.is_file():
            vouch_for(path)

    return change_and_vouch


def vouch_for(path: Path) -> None:
    """Put the checksum of a changed file into the report that names it."""
    for report in (path.parent / name for name in (*REPORTS, "../report.json")):
        if not report.is_file():
            continue
        said = json.loads(report.read_text())
        if path.name in said.get("artefacts", {}):
            said["artefacts"][path.name] = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
            report.write_text(json.dumps(said))
            own_checksum(report)


def own_checksum(report: Path) -> None:
    """Give a report the checksum of what it says now."""
    try:
        said = json.loads(report.read_text())
        said[CHECKSUM] = fingerprint({key: value for key, value in said.items() if key != CHECKSUM})
    except (ValueError, TypeError, AttributeError, RecursionError):
        return  # what is no report, or holds NaN, has no checksum
    report.write_text(json.dumps(said))


DAMAGES = (
    *(Damage(change.__name__, change) for change in (gone, emptied, cut, flipped, noise, grown, pipe, folder)),
    *(Damage(change.__name__, change) for change in (endless, elsewhere, misplaced)),
    *(Damage(change.__name__, change, of_json=True) for change in (deep, other_top, other_value, lost_value)),
    Damage("outside_name", outside_name, of_json=True),
    *(Damage(f"{c.__name__}, forged", forged(c), forged=True) for c in (emptied, cut, flipped, noise)),
    *(Damage(f"{c.__name__}, forged", forged(c), of_json=True, forged=True) for c in (deep, other_top, outside_name)),
    *(Damage(f"{c.__name__}, forged", forged(c), of_json=True, forged=True) for c in (other_value, lost_value)),
)
"""Every way."""
