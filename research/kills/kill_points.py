"""The moments at which a run is killed: spread over all its stages, some beside a rename, some at any time.

Chosen from what an uninterrupted run did and when, so that a seed stands for the same moments on every machine.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from pipeline.facts import finished_fold_count, recorded_facts
from pipeline.plan import plan
from pipeline.run import Run

StageOf = Callable[[str], str]
"""From the name of a file, `run/...` or `cache/...`, to the stage that writes it."""
BY_WORKERS = ("image models", "image models on test lesions")
"""Stages whose files processes beside the leading one write."""
COHORT, PACK, OTHERS = "synthetic cohort", "image pack", "between steps"


@dataclass(frozen=True)
class Event:
    """A file got its name."""

    file: str
    """`run/...` or `cache/...`."""
    seconds: float
    """Since the program started."""


@dataclass(frozen=True)
class Moment:
    """When to kill."""

    when: Literal["before", "after", "at"]
    """Before or after a file gets its name, or some time `seconds` after that."""
    file: str
    nth: int
    """Which of the times this file is written."""
    stage: str
    """The stage that is at work then."""
    place: int
    """Its place in the run, to put moments in order."""
    seconds: float = 0.0
    alone: bool = False
    """Only the process that writes the file dies, and the program that it works for goes on."""

    def __str__(self) -> str:
        again = f" (time {self.nth})" if self.nth > 1 else ""
        when = f"{self.seconds:.2f} s after" if self.when == "at" else f"right {self.when}"
        return f"{when} {self.file}{again}{', the worker alone' * self.alone}"

    @property
    def in_cache(self) -> bool:
        """True when the work that is cut off fills the cache, so that the cache must be empty at the start."""
        return self.file.startswith("cache/") or self.stage in (COHORT, PACK)

    def sooner(self) -> "Moment":
        """Half as long after the same file: the run had ended before it could be killed."""
        return replace(self, seconds=self.seconds / 2)


def stages_of(run_dir: Path) -> StageOf:
    """What the plan of a finished run says of its files: by the reports of the steps, else by their folders."""
    run = Run.open(run_dir)
    steps = plan(run, recorded_facts(run), finished_fold_count(run)).steps
    files = {path.relative_to(run.folder).as_posix(): step.work.stage for step in steps for path in step.files()}
    folders = {step.folder.relative_to(run.folder).as_posix(): step.work.stage for step in steps}
    del folders["."]  # of the folds and the submission alone, whose files their reports name

    def stage_of(file: str) -> str:
        place, _, name = file.partition("/")
        if place == "cache":
            return COHORT if name.startswith(("synthetic", "~synthetic")) else PACK
        owners = (folders[str(parent)] for parent in PurePosixPath(name).parents if str(parent) in folders)
        return files.get(name) or next(owners, OTHERS)

    return stage_of


def choose(events: Sequence[Event], stage_of: StageOf, kills: int, seed: int) -> list[Moment]:
    """`kills` different moments, the stages by turns; fewer when the program has not as many."""
    rng = np.random.default_rng(seed)
    times = occurrences(events)
    places: dict[str, list[int]] = {}
    for place, event in enumerate(events):
        if place:
            places.setdefault(stage_of(event.file), []).append(place)
    chosen: dict[Moment, None] = {}
    turn = 0
    while len(chosen) < kills and turn < 20 * kills:
        stage = list(places)[turn % len(places)]
        kind = (turn + turn // len(places)) % 3
        waits = np.array([events[place].seconds - events[place - 1].seconds for place in places[stage]])
        # A long piece of work is more likely to be hit, as it would be by chance.
        place = places[stage][rng.choice(len(waits), p=waits / waits.sum() if kind == 0 and waits.sum() > 0 else None)]
        share = float(rng.uniform(0.1, 0.9))
        if kind == 0:
            gap = events[place].seconds - events[place - 1].seconds
            moment = Moment("at", events[place - 1].file, times[place - 1], stage, place, round(share * gap, 3))
        else:
            alone = stage in BY_WORKERS and (turn // len(places)) % 2 == 0
            when: Literal["before", "after"] = "before" if kind == 1 else "after"
            moment = Moment(when, events[place].file, times[place], stage, place, alone=alone)
        chosen[moment] = None
        turn += 1
    return list(chosen)


def in_order(moments: Iterable[Moment]) -> list[Moment]:
    """Moments in the order in which a run comes to them."""
    return sorted(moments, key=lambda moment: (moment.place, moment.when == "after"))


def occurrences(events: Sequence[Event]) -> list[int]:
    """For each event, how many times its file had been written by then."""
    seen: dict[str, int] = {}
    result = []
    for event in events:
        seen[event.file] = seen.get(event.file, 0) + 1
        result.append(seen[event.file])
    return result
