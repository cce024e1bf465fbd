"""What became of a campaign, by kind of damage: tried and handled, as a table; and what was done already.

Outcomes are kept a line each in a file, so that a campaign that was stopped goes on where it was.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.attack.runs import Outcome


@dataclass(frozen=True)
class Kept:
    """The file of outcomes of one campaign."""

    path: Path

    def done(self) -> dict[str, str]:
        """Trouble (empty: none) by attempt; a line that a kill cut off is no outcome."""
        found: dict[str, str] = {}
        for line in self.path.read_text().splitlines() if self.path.is_file() else ():
            try:
                attempt, trouble, *_ = json.loads(line)
            except ValueError:
                continue
            found[attempt] = trouble
        return found

    def add(self, outcome: Outcome) -> None:
        """Keep one, and the end of what was said where it was not handled."""
        said = [outcome.said[-2000:]] if outcome.trouble else []
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([str(outcome.attempt), outcome.trouble, *said]) + "\n")


def table(done: dict[str, str]) -> str:
    """Markdown: by verb and by damage, how many were tried, handled, and what became of the others."""
    troubles: Counter[str] = Counter(trouble for trouble in done.values() if trouble)
    lines: list[str] = []
    for kind, place in (("verb", 0), ("damage", -1)):
        names = {attempt: attempt.partition(" (seed")[0].split(": ")[place] for attempt in done}
        tried = Counter(names.values())
        handled = Counter(names[attempt] for attempt, trouble in done.items() if not trouble)
        lines += [f"| {kind} | tried | handled |", "|---|---|---|"]
        lines += [f"| `{name}` | {tried[name]:,} | {handled[name]:,} |" for name in sorted(tried)]
        lines += [f"| all | {tried.total():,} | {handled.total():,} |", ""]
    return "\n".join([*lines, *(f"{count:,} x {trouble}" for trouble, count in troubles.most_common())])


def troubled(outcomes: Iterable[Outcome]) -> list[str]:
    """The attempts that were not handled, each with what was said."""
    return [f"{outcome.attempt}: {outcome.trouble}: {outcome.said[-400:]}" for outcome in outcomes if outcome.trouble]
