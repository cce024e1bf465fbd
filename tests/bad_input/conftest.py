"""The bench on which every row of the tables of bad inputs is tried, and the account printed after them.

A row damages something sound, names the words that must be said of it, and whether the work stops (exit code 2) or
goes on (exit code 0). Whatever happens: one message, no traceback, and no file made or changed.
"""

import hashlib
import json
import os
import pickle
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import h5py
import polars as pl
import pytest

from research.attack.damage import own_checksum

KINDS: dict[str, list[str]] = {}
"""Outcome of every row tried, by the kind of input; printed by `pytest_terminal_summary`."""
FUZZED: dict[str, tuple[Counter[str], float]] = {}
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
        made = {"runs/new/folds.json", "runs/new/folds.parquet"} if row.goes_on else set()
        self.tried(row, *command, "--set", ALLOWED_MISSING, written=made)

    def predict(self, row: Row) -> None:
        """Try a row on a finished run or on what it is to predict."""
        row.damage(self)
        command = ["predict", "--run", self.run, "--metadata", self.table("test"), "--out", self.root / "out.csv"]
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


@contextmanager
def no_longer_than(seconds: int) -> Iterator[None]:
    """Fail, rather than wait for ever on a pipe that nobody writes to."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError(f"still at work after {seconds} s")

    old = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)


def tree(folder: Path) -> dict[str, Any]:
    """Every file below a folder with its content's checksum; the lock of a run is no content."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != ".lock":
            found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@pytest.fixture
def bench(
    cli: Callable[..., Any],
    tiny_recipe: Path,
    few: Path,
    finished_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Bench:
    """A bench in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return Bench(tmp_path, cli, tiny_recipe, few, finished_run)


@pytest.fixture(scope="session")
def few(cohort_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty training lesions (ten malignant) and ten test lesions of the tiny cohort; copy before changing anything."""
    folder = tmp_path_factory.mktemp("few")
    train = pl.read_csv(cohort_dir / "train-metadata.csv", infer_schema=False)
    positive = pl.col("target") == "1"
    chosen = {
        "train": pl.concat([train.filter(positive)[:10], train.filter(~positive)[:30]]),
        "test": pl.read_csv(cohort_dir / "test-metadata.csv", infer_schema=False)[:10],
    }
    for part, table in chosen.items():
        # Of one institution and place, so that the small table holds every category of the other.
        table = table.with_columns(
            pl.lit("FNQH Cairns").alias("attribution"),
            pl.lit("Left Leg").alias("tbp_lv_location"),
            pl.lit("Left Leg").alias("tbp_lv_location_simple"),
            pl.lit("lower extremity").alias("anatom_site_general"),
            pl.lit("male").alias("sex"),
            pl.lit("3D: XP").alias("tbp_tile_type"),
            pl.lit("CC-BY").alias("copyright_license"),
        )
        table.write_csv(folder / f"{part}-metadata.csv")
        with (
            h5py.File(cohort_dir / f"{part}-image.hdf5") as source,
            h5py.File(folder / f"{part}-image.hdf5", "w") as few,
        ):
            for name in table["isic_id"]:
                source.copy(name, few)
    chosen["test"].select("isic_id", target=pl.lit(0.3)).write_csv(folder / "sample_submission.csv")
    return folder


def rewrite(path: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Change the table of a CSV file."""
    change(pl.read_csv(path, infer_schema=False)).write_csv(path)


def first_cell(column: str, value: str | None) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Give the first row another value."""
    first = pl.int_range(pl.len()) == 0
    return lambda table: table.with_columns(pl.when(first).then(pl.lit(value)).otherwise(column).alias(column))


def edit(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Change the bytes of a file."""
    path.write_bytes(change(path.read_bytes()))


def cut(path: Path) -> None:
    """Leave the first half of a file."""
    edit(path, lambda whole: whole[: len(whole) // 2])


def vouch_for(path: Path) -> None:
    """Put the checksum of a changed artefact into its report, as somebody would who wants it to be believed."""
    report = path.parent / "report.json"
    said = json.loads(report.read_text())
    said["artefacts"][path.name] = {
        "bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()
    }  # fmt: skip
    report.write_text(json.dumps(said))
    own_checksum(report)


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


def record_fuzz(reader: str, counts: Counter[str], seconds: float) -> None:
    """Remember what became of the inputs of one reader."""
    FUZZED[reader] = (counts, seconds)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Note what became of every row."""
    report = yield
    row = getattr(item, "callspec", None) and item.callspec.params.get("row")
    if isinstance(row, Row) and (report.when == "call" or report.failed):
        how = "NOT HANDLED" if report.failed else "goes on and says so" if row.goes_on and row.words else (
            "goes on" if row.goes_on else "refused, exit code 2"
        )  # fmt: skip
        kind = item.path.stem.removeprefix("test_").replace("_", " ")
        KINDS.setdefault(kind, []).append(f"{row.name}: {how}")
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table of bad inputs and the account of the fuzzing."""
    outcomes = [line for lines in KINDS.values() for line in lines]
    if outcomes:
        terminalreporter.section("bad inputs")
    for kind, lines in KINDS.items():
        terminalreporter.write_line(f"{kind} ({len(lines)})")
        for line in lines:
            terminalreporter.write_line(f"  {line}")
    if outcomes:
        handled = sum(not line.endswith("NOT HANDLED") for line in outcomes)
        terminalreporter.write_line(f"bad inputs: tried {len(outcomes)}, handled {handled}")
    if FUZZED:
        terminalreporter.section("fuzzing")
        counts = ", ".join(f"{reader} {counted.total():,}" for reader, (counted, _) in FUZZED.items())
        terminalreporter.write_line(f"fuzzed: {counts}")
        for reader, (counted, seconds) in FUZZED.items():
            found = ", ".join(f"{number:,} {outcome}" for outcome, number in sorted(counted.items()))
            terminalreporter.write_line(f"  {reader}: {found} in {seconds:.0f} s")
