"""Protocols: from a cohort to the rows that a system learns from, is chosen by and scored on, and what it is told.

`published` is what the authors did, leaks included; `sound` is the project's folds by lesion or patient, with all
resampling inside the training part and no column that only a diagnosis gives. Replication is a row named more than
once: no image is copied, and every showing is augmented anew.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from data.cohort import Cohort
from data.errors import RecipeError
from data.folds import Folds
from data.inner_split import inner_split
from data.readers.reading import ToldColumns
from research.systems.registry import System

Ints = npt.NDArray[np.int64]
ProtocolName = Literal["published", "sound"]
PROTOCOLS: tuple[ProtocolName, ...] = ("published", "sound")
HAM10000_IMAGES = 10_015
FAST_SHARE = 12
"""The fast form replicates to a twelfth of the published number."""
SMALLEST_CLASS = 20
"""Enough that each of three parts holds every class."""


@dataclass(frozen=True)
class Part:
    """One division of a cohort; rows may be named more than once."""

    train: Ints
    validation: Ints | None
    """Rows that choose the epoch; None leaves it to an inner split of the training lesions."""
    test: Ints

    @property
    def shared_rows(self) -> float:
        """Share of the test rows whose very image is also learned from."""
        return float(np.isin(self.test, self.train).mean())

    def shared_lesions(self, groups: npt.NDArray[np.str_]) -> float:
        """Share of the test rows whose lesion (or patient) is also learned from."""
        return float(np.isin(groups[self.test], groups[self.train]).mean())


@dataclass(frozen=True)
class Division:
    """What a protocol makes of a cohort."""

    parts: tuple[Part, ...]
    columns: tuple[str, ...]
    """Metadata that a network may be told."""


def replicated(rows: Ints, target: Ints, per_class: int, rng: np.random.Generator) -> Ints:
    """Exactly `per_class` rows of every class: each row as often as any other but for one, the odd ones drawn."""
    parts = []
    for code in np.unique(target[rows]):
        own = rows[target[rows] == code]
        times, rest = divmod(per_class, len(own))
        parts += [np.tile(own, times), rng.choice(own, rest, replace=False)]
    return rng.permutation(np.concatenate(parts)).astype(np.int64)


def by_row(rows: Ints, target: Ints, shares: tuple[float, ...], rng: np.random.Generator) -> tuple[Ints, ...]:
    """Divide rows (copies are rows like any other) by these shares, every class in proportion."""
    parts: list[list[Ints]] = [[] for _ in shares]
    for code in np.unique(target[rows]):
        own = rng.permutation(rows[target[rows] == code])
        ends = np.round(np.cumsum(shares)[:-1] * len(own)).astype(int)
        for part, piece in zip(parts, np.split(own, ends), strict=True):
            part.append(piece)
    return tuple(rng.permutation(np.concatenate(part)) for part in parts)


def subset(rows: Ints, target: Ints, most: int, rng: np.random.Generator) -> Ints:
    """At most about `most` of the rows, every class in proportion and none left out; all of them when 0."""
    if not most or len(rows) <= most:
        return rows
    share = most / len(rows)
    kept = []
    for code in np.unique(target[rows]):
        own = rows[target[rows] == code]
        kept.append(rng.choice(own, max(min(len(own), 8), round(len(own) * share)), replace=False))
    return rng.permutation(np.concatenate(kept)).astype(np.int64)


def _everyone(cohort: Cohort) -> Ints:
    return np.arange(len(cohort.ids), dtype=np.int64)


def s5_published(cohort: Cohort, per_class: int, rng: np.random.Generator) -> Part:
    """Balance by replication, then 70/15/15 by image: most copies of an image end on both sides."""
    target = cohort.target
    return Part(*by_row(replicated(_everyone(cohort), target, per_class, rng), target, (0.70, 0.15, 0.15), rng))


def s3_published(cohort: Cohort, per_class: int, rng: np.random.Generator) -> Part:
    """80/20 by image, classes in proportion; the part that stops the training is the part that is reported.

    The authors state a stratified split "with the same proportions as in earlier experiments" and no shares: they are
    ours.
    """
    train, validation = by_row(_everyone(cohort), cohort.target, (0.8, 0.2), rng)
    return Part(train, validation, validation)


def s2_published(cohort: Cohort, per_class: int, rng: np.random.Generator) -> Part:
    """70/15/15 by image; the authors do not say how they split."""
    return Part(*by_row(_everyone(cohort), cohort.target, (0.70, 0.15, 0.15), rng))


def s4_published(cohort: Cohort, per_class: int, rng: np.random.Generator) -> Part:
    """9 % of the images to test, the others 80/20, both by patient (here: what the data set keeps together).

    The authors' parts have 2,636, 659 and about 330 images.
    """
    seeds = rng.integers(2**31, size=2)
    rest, test = inner_split(cohort.groups, cohort.target, 0.09, int(seeds[0]))
    train, validation = inner_split(cohort.groups[rest], cohort.target[rest], 0.20, int(seeds[1]))
    return Part(rest[train], rest[validation], test)


PUBLISHED: Mapping[str, Callable[[Cohort, int, np.random.Generator], Part]] = {
    "S2": s2_published,
    "S3": s3_published,
    "S4": s4_published,
    "S5": s5_published,
    "own": s3_published,
}
"""By source. S1, whose networks predict all folds, is divided by `by_image` in `two_stage.py`."""


def divide(
    system: System, protocol: ProtocolName, cohort: Cohort, folds: Folds, known: ToldColumns, *, seed: int, fast: bool
) -> Division:
    """The parts of a network's protocol; `fast` replicates a twelfth and scores one fold of the sound protocol."""
    rng = np.random.default_rng([seed, PROTOCOLS.index(protocol)])
    per_class = images_per_class(system, len(cohort.ids), fast)
    if protocol == "published":
        parts = [PUBLISHED[system.source](cohort, per_class, rng)]
        late = known.after_diagnosis if system.source == "S5" else ()
    else:
        parts = []
        for fold in range(1 if fast else folds.count):
            train = folds.train_rows(fold)
            if per_class:
                train = replicated(train, cohort.target, round(0.7 * per_class), rng)
            parts.append(Part(train, None, folds.validation_rows(fold)))
        late = ()
    if fast:
        parts = [replace(p, train=subset(p.train, cohort.target, system.fast.rows, rng)) for p in parts]
    present = [name for name in (*known.columns, *late) if name in cohort.table.columns]
    return Division(tuple(parts), tuple(present))


def images_per_class(system: System, images: int, fast: bool) -> int:
    """What the system's protocol balances classes to: 6,000 on HAM10000, fewer on a smaller data set."""
    if not system.balance:
        return 0
    share = min(1.0, images / HAM10000_IMAGES) / (FAST_SHARE if fast else 1)
    return max(SMALLEST_CLASS, round(system.balance * share))


def protocols_named(text: str) -> tuple[ProtocolName, ...]:
    """The protocols of a comma-separated list."""
    names = {part.strip() for part in text.split(",") if part.strip()}
    unknown = sorted(names - set(PROTOCOLS))
    if unknown or not names:
        raise RecipeError(f"--protocols {text}: give {' or '.join(PROTOCOLS)}, or both with a comma between")
    return tuple(name for name in PROTOCOLS if name in names)
