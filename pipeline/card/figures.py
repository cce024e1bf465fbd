"""Figures that know where they come from, and the sections that hold them; the card is made of nothing else."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.errors import DataError
from data.files import read_json


@dataclass(frozen=True)
class Figure:
    """A number or a word as shown, and the file of the run and JSON pointer (RFC 6901) that it stands at."""

    text: str
    key: str


Cell = str | Figure


@dataclass(frozen=True)
class Source:
    """A JSON file of the run, or part of it."""

    value: Any
    key: str

    @staticmethod
    def read(folder: Path, name: str) -> "Source":
        """Nothing where the file is not there; DataError where it is damaged."""
        path = folder / name
        if not path.is_file():
            return Source(None, f"{name}#")
        try:
            return Source(read_json(path), f"{name}#")
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{path} is damaged ({error}); run the command that made it again") from error

    def at(self, *path: str | int) -> "Source":
        """What stands there; nothing where nothing does."""
        value, key = self.value, self.key
        for step in path:
            name = str(step).replace("~", "~0").replace("/", "~1")
            key = f"{key}/{name}"
            found = isinstance(value, dict) and step in value
            found = found or (isinstance(value, list) and isinstance(step, int) and step < len(value))
            value = value[step] if found else None
        return Source(value, key)

    def each(self) -> Iterator["Source"]:
        """Its elements."""
        yield from (self.at(i) for i in (range(len(self.value)) if isinstance(self.value, list) else self.value or ()))

    def __bool__(self) -> bool:
        return self.value is not None

    def show(self, spec: str = "", of: str = "{}") -> Cell:
        """As text by a format of Python's; a dash where there is nothing."""
        return Figure(of.format(format(self.value, spec)), self.key) if self else "–"

    def interval(self, spec: str) -> Cell:
        """An estimate with its interval, where there is one."""
        if not self:
            return "–"
        estimate, low, high = (self.value.get(name) for name in ("estimate", "low", "high"))
        around = "" if low is None or high is None else f" ({low:{spec}} to {high:{spec}})"
        return Figure(f"{estimate:{spec}}{around}", self.key)


@dataclass(frozen=True)
class Section:
    """A heading with sentences and a table; without either the run does not answer it."""

    id: str
    title: str
    said: tuple[str, ...] = ()
    head: tuple[str, ...] = ()
    rows: list[tuple[Cell, ...]] = field(default_factory=list)

    @property
    def answered(self) -> bool:
        """Whether there is anything."""
        return bool(self.said or self.rows)


ITEMS = (
    ("Data and setting", "data"), ("Characteristics of patients", "patients"), ("Predictors", "predictors"),
    ("Sample size and events", "data"), ("Missing data", "missing"), ("Quality of inputs", "quality"),
    ("How the data were divided", "division"), ("Model", "models"), ("Tuning", "tuning"), ("Imbalance", "imbalance"),
    ("Discrimination, with intervals", "discrimination"), ("Calibration", "calibration"), ("Utility", "utility"),
    ("Recalibration", "recalibration"), ("Outputs and thresholds", "thresholds"),
    ("Fairness and subgroups, with intervals", "subgroups"), ("Heterogeneity between sites", "sites"),
    ("Robustness", "robustness"), ("Failure analysis", "failures"), ("Code, versions, seeds, cost", "account"),
    ("Bill of materials (CycloneDX)", "bom.json"), ("Machine-readable data (Croissant)", "croissant.json"),
)  # fmt: skip
"""Item, and the section or file that answers it."""
UNANSWERED = "not answered by this run"


def answered(sections: Iterable[Section], files: Iterable[str]) -> list[tuple[str, str, str]]:
    """Item, where it is answered (or that it is not), and the id of that section."""
    known, written = {one.id: one for one in sections}, set(files)
    found = []
    for item, place in ITEMS:
        if place in known and known[place].answered:
            found.append((item, known[place].title, place))
        else:
            found.append((item, place if place in written else UNANSWERED, ""))
    return found
