"""What became of every bad input that was tried."""

from collections import Counter

import pytest

KINDS: dict[str, list[str]] = {}
"""Outcome of every row tried, by the kind of input."""
FUZZED: dict[str, tuple[Counter[str], float]] = {}
"""Outcomes of the damaged files of each reader, and the seconds they took."""


def record_fuzz(reader: str, counts: Counter[str], seconds: float) -> None:
    """Remember what became of the inputs of one reader."""
    FUZZED[reader] = (counts, seconds)


def summary(terminalreporter: pytest.TerminalReporter) -> None:
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
