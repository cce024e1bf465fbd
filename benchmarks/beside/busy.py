"""What other busy programs on the machine cost: our way of training, and one model after the other with all threads.

A fold model with a thread of its own never waits for another thread at a barrier. One that uses every core waits, after
each small operation, for a thread that has no core at the moment. Both are measured quiet and crowded in one run.
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from benchmarks.measuring import answers, heard, started

GOAL = 6.0
"""How many times slower than quiet our way may be beside four busy programs on two cores."""
FITTING = "benchmarks.beside.fitting"
FOR_EVER = "while True: pass"


def measure(busy: int, *, network: str, side: int, seconds: float, repeats: int) -> list[dict[str, Any]]:
    """Images a second of both ways, quiet and beside `busy` programs, and how much slower each becomes."""
    cores = os.cpu_count() or 1
    with ExitStack() as stack:
        ways = {
            f"ours: {cores} models at once, a thread each": [started(FITTING, 1, network, side) for _ in range(cores)],
            f"one after the other, {cores} threads": [started(FITTING, cores, network, side)],
        }
        for process in (process for processes in ways.values() for process in processes):
            stack.enter_context(process)
            stack.callback(process.kill)
            heard(process)
        quiet: dict[str, list[float]] = {way: [] for way in ways}
        crowded: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(repeats):
            for way, processes in ways.items():
                quiet[way].append(sum(answers(processes, seconds)))
            with busy_programs(busy):
                for way, processes in ways.items():
                    crowded[way].append(sum(answers(processes, seconds)))
    return [row(way, statistics.median(quiet[way]), statistics.median(crowded[way])) for way in ways]


def row(way: str, quiet: float, crowded: float) -> dict[str, Any]:
    """One way's figures."""
    slower = quiet / crowded
    return {"name": way, "quiet": round(quiet, 1), "crowded": round(crowded, 1), "times slower": round(slower, 2)}


@contextmanager
def busy_programs(count: int) -> Iterator[None]:
    """So many programs that compute for ever, and no longer."""
    with ExitStack() as stack:
        for _ in range(count):
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", FOR_EVER]))
            stack.callback(process.kill)
        yield


def show(busy: int, rows: list[dict[str, Any]]) -> None:
    """Print a table."""
    print(f"{'images/s':40} {'quiet':>10} {f'{busy} busy':>10} {'times slower':>13}")
    for found in rows:
        print(f"{found['name']:40} {found['quiet']:10,.1f} {found['crowded']:10,.1f} {found['times slower']:13.2f}")
    print(f"goal for ours beside 4 on two cores: at most {GOAL:g} times slower")
