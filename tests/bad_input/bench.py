"""The bench on which every row of the tables of bad inputs is tried.

A row damages something sound, names the words that must be said of it, and whether the work stops (exit code 2) or
goes on (exit code 0). Whatever happens: one message, no traceback, and no file made or changed.
"""

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.time_limit import no_longer_than

HUNG_SECONDS = 60
ONE_IN = 1 if os.environ.get("FUSIONNETX_BAD_INPUT") == "all" else 4
"""The tests of the whole try every fourth row of each table; `make bad-input` tries all."""
ALLOWED_MISSING = "data.max_missing_images=0.05"


@dataclass(frozen=True)
class Row:
    """One bad input."""

    name: str
    damage: Callable[["Bench"], object]
    words: tuple[str, ...] = ()
    goes_on: bool = False
    options: tuple[str, ...] = field(default=())
    """Added to the command; `{root}` stands for the folder of the test."""


@dataclass
class Bench:
    """Sound files that a row may damage, and the command line to try them with."""

    root: Path
    cli: Callable[..., Any]
    recipe: Path
    few: Path
    finished: Path

    @property
    def data(self) -> Path:
        """Forty training lesions and ten test lesions in Kaggle's files."""
        folder = self.root / "data"
        return folder if folder.is_dir() else shutil.copytree(self.few, folder)

    @property
    def run(self) -> Path:
        """A finished run."""
        folder = self.root / "runs" / "tiny"
        return folder if folder.is_dir() else shutil.copytree(self.finished, folder)

    def table(self, part: str = "train") -> Path:
        """A metadata file."""
        return self.data / f"{part}-metadata.csv"

    def hdf5(self, part: str = "train") -> Path:
        """A file of images."""
        return self.data / f"{part}-image.hdf5"

    def check(self, row: Row) -> None:
        """Try a row on the data folder."""
        row.damage(self)
        self.tried(row, "check", "--data", self.data, "--recipe", self.recipe, "--set", ALLOWED_MISSING)

    def plan(self, row: Row) -> None:
        """Try a row on a run's folds, without training anything."""
        row.damage(self)
        command = [
            "oof",
            "--dry-run",
            "--data",
            self.data,
            "--recipe",
            self.recipe,
            "--run",
            self.root / "runs" / "new",
        ]
        self.tried(row, *command, "--set", ALLOWED_MISSING)

    def predict(self, row: Row) -> None:
        """Try a row on a finished run or on what it is to predict."""
        row.damage(self)
        command = [
            "predict",
            "--run",
            self.run,
            "--metadata",
            self.table("test"),
            "--out",
            self.root / "out.csv",
            "--plain",
        ]
        self.tried(row, *command, "--images", self.hdf5("test"), written={"out.csv"} if row.goes_on else set())

    def tried(self, row: Row, *command: object, written: set[str] | frozenset[str] = frozenset()) -> None:
        """Run a command and judge it; only `written` may appear."""
        before = tree(self.root)
        with no_longer_than(HUNG_SECONDS):
            answer = self.cli(*command, *(option.format(root=self.root) for option in row.options))
        said = answer.out + answer.err
        assert "Traceback" not in said
        assert answer.code == (0 if row.goes_on else 2), answer
        assert [word for word in row.words if word not in said] == [], said
        if not row.goes_on:
            assert answer.err.count("error:") + ("a run cannot start" in answer.out) == 1, answer
            assert len(said) < 4000, said
        assert not any(ord(c) < 32 and c != "\n" for c in said), repr(said)
        after = tree(self.root)
        assert not (self.root / "ran").exists(), "a pickle was run"
        assert {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} == set(written)


def chosen(rows: list[Row]) -> list[Row]:
    """The rows to try."""
    return rows[::ONE_IN]


def tree(folder: Path) -> dict[str, Any]:
    """Every file below a folder with its content's checksum; the lock of a run is no content."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != ".lock":
            found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
