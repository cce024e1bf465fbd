"""Damaged runs x the verbs that read runs: every attempt is one file damaged in one way, and one command.

A command may refuse (exit code 2), find something (1, of those that look for it), or do its work; it may not show a
traceback, blame itself, hang, touch a file outside the run, or give another result without a word.
"""

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

from data.files import sha256_of
from tests.attack.damage import DAMAGES, Damage
from tests.folders import results
from tests.time_limit import TookTooLong, no_longer_than

SECONDS, PATIENT_SECONDS = 60, 600
"""For an attempt, and for one that took longer when it is made once more: only then does it count as a hang."""
STOPPED = (130, 143)
"""How a verb ends that somebody outside asked to stop: that says nothing of the attempt, which is to be made again."""
HUNG = "hung"
FAULT = "a fault of FusionNetX"
FINDS = ("verify", "diff")
"""Verbs whose exit code 1 says that something was found."""
NUMBER = re.compile(r"\d+")


class Answer(Protocol):
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


Command = Callable[[list[str]], Answer]


@dataclass(frozen=True)
class Ground:
    """What the attempts are made with; none of it is changed."""

    finished: Path
    """A finished run."""
    table: Path
    """Metadata of new lesions."""
    images: Path
    lesion: str
    """A lesion of the run."""
    command: Command
    """The command line."""
    scratch: Path
    """Where copies are made and damaged."""
    whole: Path | None = None
    """The run that nobody stopped, where `finished` is one that was stopped, to go on with its end."""

    @property
    def run(self) -> Path:
        """The copy."""
        return self.scratch / "runs" / "tiny"

    @property
    def out(self) -> Path:
        """What predict writes."""
        return self.scratch / "out.csv"


@dataclass(frozen=True)
class Attempt:
    """One file, one damage, one verb."""

    file: str
    damage: Damage
    verb: str
    seed: int

    def __str__(self) -> str:
        return f"{self.verb}: {self.file}: {self.damage.name} (seed {self.seed})"


@dataclass(frozen=True)
class Outcome:
    """What became of one."""

    attempt: Attempt
    trouble: str
    """Empty when it was handled."""
    said: str


def commands(ground: Ground) -> dict[str, list[str]]:
    """The verbs that read runs."""
    run, other = str(ground.run), str(ground.finished)
    return {
        "verify": ["verify", "--run", run],
        "plan": ["plan", "--run", run],
        "runs": ["runs"],
        "diff": ["diff", run, other],
        "compare": ["compare", run, other],
        "report": ["report", "--run", run],
        "explain": ["explain", "--run", run, "--lesion", ground.lesion],
        "predict": [
            *("predict", "--run", run, "--metadata", str(ground.table), "--images", str(ground.images)),
            *("--out", str(ground.out)),
        ],
        "submission": ["submission", "--run", run],
        "tabular": ["tabular", "--run", run],
        "kaggle": ["kaggle", "--run", run, "--no-download", "--out", str(ground.scratch / "kaggle")],
    }


def kinds_of_file(run: Path) -> dict[str, list[str]]:
    """The files of a run, those together that differ in a number alone."""
    found: dict[str, list[str]] = {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if path.is_file() and path.name != ".lock":
            found.setdefault(NUMBER.sub("N", name), []).append(name)
    return found


def attempts(
    run: Path, verbs: Sequence[str], seed: int, count: int | None = None, only: Sequence[str] = ()
) -> list[Attempt]:
    """Every kind of file (or `only` some names) x damage x verb, in an order of its own; the first `count`."""
    random = Random(seed)
    every = [
        Attempt(random.choice(files), damage, verb, random.randrange(2**31))
        for kind, files in kinds_of_file(run).items()
        for damage in DAMAGES
        if not damage.of_json or kind.endswith(".json")
        if not only or kind.rpartition("/")[2] in only
        for verb in verbs
    ]
    random.shuffle(every)
    return every[:count]


def made_patiently(attempt: Attempt, ground: Ground) -> Outcome:
    """One that takes too long is made once more with a longer limit: a busy machine is no hang."""
    outcome = made(attempt, ground)
    return made(attempt, ground, patient=True) if outcome.trouble == HUNG else outcome


def made(attempt: Attempt, ground: Ground, *, patient: bool = False) -> Outcome:
    """Damage a fresh copy and give the command."""
    shutil.rmtree(ground.scratch, ignore_errors=True)
    ground.run.parent.mkdir(parents=True)
    shutil.copytree(ground.finished, ground.run)
    outside = ground.scratch / "outside.txt"
    outside.write_text("not of the run\n")
    attempt.damage.change(ground.run / attempt.file, Random(attempt.seed))
    try:
        with no_longer_than(PATIENT_SECONDS if patient else SECONDS):
            answer = ground.command(commands(ground)[attempt.verb])
    except TookTooLong:
        return Outcome(attempt, HUNG, "")
    if answer.code in STOPPED:
        raise KeyboardInterrupt
    said = answer.out + answer.err
    if not outside.is_file() or outside.read_text() != "not of the run\n":
        return Outcome(attempt, "touched a file outside the run", said)
    return Outcome(attempt, trouble_in(attempt, ground, answer, said), said)


def trouble_in(attempt: Attempt, ground: Ground, answer: Answer, said: str) -> str:
    """What is wrong with an answer; empty when nothing is."""
    if "Traceback" in said:
        return "a traceback"
    if FAULT in said or answer.code not in ((0, 1, 2) if attempt.verb in FINDS else (0, 2)):
        return f"exit code {answer.code}"
    if answer.code == 0 and ground.whole is not None:
        same = results(ground.whole).items() <= results(ground.run).items()  # a damage may leave a file beside it
        return "" if same else "went on to another result in silence"
    if answer.code == 0 and not attempt.damage.forged and attempt.verb in ("predict", "submission"):
        return silent_change(attempt, ground)
    return ""


def silent_change(attempt: Attempt, ground: Ground) -> str:
    """Whether a command that did its work gave what the sound run gives."""
    if attempt.file in ("recipe.toml", "run.json"):
        return ""  # what a run is has no checksum: another recipe is another run
    if attempt.verb == "submission":
        same = sha256_of(ground.run / "submission.csv") == sha256_of(ground.finished / "submission.csv")
    else:
        reference = ground.finished.parent / "predicted.csv"
        same = not reference.is_file() or sha256_of(reference) == sha256_of(ground.out)
    return "" if same else "another result in silence"
