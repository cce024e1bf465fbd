"""A whole campaign of kills, shown as it goes: an undisturbed run, many that are killed, and a verdict."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data.errors import DataError
from pipeline.display import Display
from research.kills.faults import Harness, Outcome, run_rounds
from research.kills.kill_points import StageOf, choose, in_order, stages_of

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
