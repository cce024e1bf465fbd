"""Kill a program at chosen moments, let it go on, and compare what it leaves with an uninterrupted run's.

Works on any program that takes a run folder and a cache; `research/commands/studies.py` hands it the pipeline.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from data.errors import DataError, FusionNetXError
from pipeline.display import Display
from pipeline.integrity.records import content, differences
from research.kills.kill_points import Event, Moment, StageOf, choose, in_order, stages_of
from research.kills.mortal import DIED

ATTEMPTS = 5
"""How often a moment is tried that came after the end of the run."""
PATIENCE_SECONDS = 3600


class ProgramError(FusionNetXError):
    """The program failed without having been killed; its output is in the message."""


@dataclass(frozen=True)
class Reference:
    """What the uninterrupted run did and left."""

    events: tuple[Event, ...]
    run: dict[str, str]
    cache: dict[str, str]
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """One run that was killed, once or in a row, and went on to its end."""

    moments: tuple[Moment, ...]
    """The moments at which it was killed."""
    resumed_seconds: float
    """How long the last start took to finish."""
    differences: tuple[str, ...]
    """What is not as the uninterrupted run left it; empty when nothing was lost."""


@dataclass(frozen=True)
class Harness:
    """A program and the folder in which it is run again and again."""

    program: tuple[str, ...]
    """Module (or .py file) and arguments; `--run FOLDER` is added."""
    scratch: Path

    def reference(self) -> Reference:
        """Run it once, undisturbed."""
        root = self.scratch / "undisturbed"
        began = time.monotonic()
        with self.started(root, root / "cache", watched=True) as (process, events):
            seen = [Event(file, at - began) for at, file in events]
            self.must_succeed(process, root)
        return Reference(tuple(seen), content(root / "run"), content(root / "cache"), time.monotonic() - began)

    def survive(self, name: str, moments: Sequence[Moment], reference: Reference) -> Outcome:
        """Kill one run at each of `moments` (in the order of the run), let it finish, compare."""
        root = self.scratch / name
        cold = any(moment.in_cache for moment in moments)
        cache = root / "cache" if cold else self.scratch / "undisturbed" / "cache"
        killed = [moment for moment in moments if self.kill_at(moment, root, cache, fresh=len(moments) == 1)]
        began = time.monotonic()
        with self.started(root, cache) as (process, _):
            self.must_succeed(process, root)
        seconds = time.monotonic() - began
        found = [*differences(reference.run, content(root / "run")), *differences(reference.cache, content(cache))]
        if not found:
            shutil.rmtree(root)
        return Outcome(tuple(killed), seconds, tuple(found))

    def kill_at(self, moment: Moment, root: Path, cache: Path, *, fresh: bool) -> bool:
        """Start it and kill it at a moment; False when it ended first. A `fresh` run can be tried again, sooner."""
        for _ in range(ATTEMPTS if fresh else 1):
            if fresh:
                shutil.rmtree(root, ignore_errors=True)
            with self.started(root, cache, moment, watched=True) as (process, events):
                count = 0
                for _at, file in events:
                    count += file == moment.file
                    if moment.when == "at" and count == moment.nth and file == moment.file:
                        time.sleep(moment.seconds)
                        os.killpg(process.pid, signal.SIGKILL)
                        break
                code = process.wait(PATIENCE_SECONDS)
            if code == -signal.SIGKILL or (code == 0 and (root / DIED).is_file()):
                return True
            if code != 0:
                self.must_succeed(process, root)
            moment = moment.sooner()
        return False

    @contextmanager
    def started(
        self, root: Path, cache: Path, moment: Moment | None = None, *, watched: bool = False
    ) -> Iterator[tuple["subprocess.Popen[bytes]", Iterator[tuple[float, str]]]]:
        """The program in a process group of its own, and the renames that it tells of when it is watched."""
        root.mkdir(parents=True, exist_ok=True)
        reading, writing = os.pipe()
        fate = (
            []
            if moment is None or moment.when == "at"
            else ["--die", moment.when, "--file", moment.file, "--nth", str(moment.nth)] + ["--alone"] * moment.alone
        )
        watch = ["-m", "research.kills.mortal", "--root", str(root), "--events", str(writing), *fate]
        start = ["-m", self.program[0]] if not self.program[0].endswith(".py") else [self.program[0]]
        arguments = [*self.program[1:], "--run", str(root / "run")]
        with (root / "log.txt").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *([*watch, self.program[0]] if watched else start), *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "FUSIONNETX_CACHE": str(cache)},
                pass_fds=[writing],
                start_new_session=True,
            )
        os.close(writing)
        try:
            with os.fdopen(reading, encoding="utf-8") as events:
                yield process, (read_line(line) for line in events)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def must_succeed(self, process: "subprocess.Popen[bytes]", root: Path) -> None:
        """Wait for a program that nobody killed."""
        code = process.wait(PATIENCE_SECONDS)
        if code != 0:
            end = (root / "log.txt").read_text(errors="replace").splitlines()[-15:]
            raise ProgramError(f"{' '.join(self.program)} ended with {code} in {root}:\n" + "\n".join(end))


def read_line(line: str) -> tuple[float, str]:
    """Time and file of one line of a watched program."""
    at, _, file = line.rstrip("\n").partition(" ")
    return float(at), file


def run_rounds(
    harness: Harness,
    reference: Reference,
    moments: Sequence[Moment],
    kills: int,
    in_a_row: Sequence[Moment],
    tell: Callable[[Outcome], None],
) -> tuple[int, int]:
    """Kill a run of its own at each of `moments` until `kills` took place, then one run at all of `in_a_row`.

    Gives the kills survived and the kills that took place; a program that fails by itself survived none of its kills.
    """
    survived = tried = 0
    rounds = [(f"kill_{number:02d}", (moment,)) for number, moment in enumerate(moments, start=1)]
    for name, chosen in (*rounds, ("kills_in_a_row", tuple(in_a_row))):
        if not chosen or (tried >= kills and len(chosen) == 1):
            continue
        try:
            outcome = harness.survive(name, chosen, reference)
        except ProgramError as error:
            outcome = Outcome(chosen, 0.0, (str(error),))
        tried += len(outcome.moments)
        survived += 0 if outcome.differences else len(outcome.moments)
        tell(outcome)
    return survived, tried


SPARE = 5
"""Moments beyond those asked for, in place of some at which the run had already ended."""


@dataclass
class Campaign:
    """Kills of one program in one scratch folder."""

    program: tuple[str, ...]
    scratch: Path
    display: Display
    stages: Callable[[Path], StageOf] = stages_of
    """From the folder of an undisturbed run to what writes which file."""
    said: int = 0

    def run(self, kills: int, in_a_row: int, seed: int) -> bool:
        """True when every kill was survived; prints a line for each run and the sum."""
        if (self.scratch / "undisturbed").exists():
            raise DataError(f"{self.scratch} holds an earlier campaign; delete it or give another --scratch")
        harness = Harness(self.program, self.scratch)
        self.display.say(f"undisturbed run in {self.scratch} ...")
        reference = harness.reference()
        stage_of = self.stages(self.scratch / "undisturbed" / "run")
        moments = choose(reference.events, stage_of, kills + SPARE, seed)
        first, spare = in_order(moments[:kills]), moments[kills:]
        # A process started again counts from the beginning, so only files that are written once can be waited for.
        others = choose(reference.events, stage_of, 4 * in_a_row, seed + 1)
        steady = [moment for moment in others if moment.when != "at" and moment.nth == 1 and not moment.alone]
        self.display.say(
            f"undisturbed: {reference.seconds:.1f} s, {len(reference.events)} files named, "
            f"{len(reference.run)} compared in the run and {len(reference.cache)} in the cache"
        )
        self.display.say(f"{'':>4}  {'killed during':28s}  {'resumed':>8s}  {'result':9s}  moment")
        survived, tried = run_rounds(
            harness, reference, [*first, *spare], kills, in_order(steady[:in_a_row]), self.tell
        )
        self.display.say(f"survived {survived}/{tried}", style="bold")
        return survived == tried and tried >= kills

    def tell(self, outcome: Outcome) -> None:
        """One line for each kill; the time and the result beside the last one of a run."""
        for place, moment in enumerate(outcome.moments, start=1):
            self.said += 1
            last = place == len(outcome.moments)
            seconds = f"{outcome.resumed_seconds:6.1f} s" if last else "again"
            result = "" if not last else "DIFFERS" if outcome.differences else "equal"
            self.display.say(f"{self.said:4d}  {moment.stage:28s}  {seconds:>8s}  {result:9s}  {moment}")
        for line in outcome.differences:
            self.display.say(f"      {line}")
        self.display.check_stop()
