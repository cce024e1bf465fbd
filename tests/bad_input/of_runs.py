"""Accidents and tricks with the files of a finished run."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bad_input.bench import Bench
from tests.damage import edit
from tests.forge import vouch


def vouch_for(path: Path) -> None:
    """Put the checksum of a changed artefact into its report, as somebody would who wants it to be believed."""
    vouch(path.parent / "report.json", path.name)


def damaged(name: str, change: Callable[[Path], object]) -> Callable[[Bench], object]:
    """Change a file of the finished run, as accidents do: its report knows nothing of it."""
    return lambda b: change(b.run / name)


def vouched(name: str, change: Callable[[Path], object]) -> Callable[[Bench], object]:
    """Change a file of the finished run and its checksum too, which tries what lies behind the checksums."""

    def damage(b: Bench) -> None:
        change(b.run / name)
        vouch_for(b.run / name)

    return damage


def holding(data: Callable[[], bytes]) -> Callable[[Path], object]:
    """Give a file other bytes."""
    return lambda path: path.write_bytes(data())


def flipped(path: Path) -> None:
    """One bit, far from the header."""
    edit(path, lambda w: w[: len(w) * 2 // 3] + bytes([w[len(w) * 2 // 3] ^ 4]) + w[len(w) * 2 // 3 + 1 :])


def json_of(change: Callable[[Any], Any]) -> Callable[[Path], object]:
    return lambda path: path.write_text(json.dumps(change(json.loads(path.read_text()))))


class Evil:
    """Unpickling this makes the file `ran` in the working folder."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("ran"),)


def pickled() -> bytes:
    """A pickle that would make a file."""
    return pickle.dumps(Evil())
