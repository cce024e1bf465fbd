"""What benchmarks have in common: work in a process of its own, programs that answer line by line, rows of results."""

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from data.files import write_json


def alone(work: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """What some work answers in a new process, and the most memory in GB that it held there."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_with_peak, work, arguments).result()


def _with_peak(work: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, float]:
    answer = work(*arguments)
    # The kernel counts in kilobytes on Linux, in bytes on macOS.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return answer, peak / (1e9 if platform.system() == "Darwin" else 1e6)


def seconds_of(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def started(module: str, *words: object) -> "subprocess.Popen[str]":
    """A program of this project that reads and writes lines; it is ready when it has said so."""
    command = [sys.executable, "-m", module, *map(str, words)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def heard(process: "subprocess.Popen[str]") -> Any:
    """What a program says next."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"a process that trains beside others ended with exit code {process.wait()}")
    return json.loads(line)


def answers(processes: "Iterable[subprocess.Popen[str]]", line: object) -> list[float]:
    """Tell programs the same at the same time; what each says then."""
    processes = list(processes)
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
    return [float(heard(process)) for process in processes]


class Results:
    """Rows of our figure beside another, printed as they come, and kept for programs."""

    def __init__(self, other: str = "straightforward") -> None:
        self.rows: list[dict[str, Any]] = []
        print(f"\n{'':62}{'ours':>12}{other:>17}")

    def add(self, name: str, ours: float, other: float, unit: str, goal: str = "", *, rate: bool = False) -> None:
        """One row; the ratio is how many times better ours is, of seconds and bytes or of a rate."""
        ratio = ours / other if rate else other / ours
        print(f"{name:62}{ours:>12,.2f}{other:>17,.2f} {unit:<11}{ratio:>7.2f} x   {goal}", flush=True)
        self.rows.append({"name": name, "ours": round(ours, 4), "straightforward": round(other, 4),
                          "ratio": round(ratio, 3), "unit": unit, "goal": goal})  # fmt: skip

    def write(self, path: Path | None, **facts: Any) -> None:
        """Into a JSON file with what was measured on, where one is wanted."""
        if path is not None:
            machine = {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}
            write_json(path, {"machine": machine, **facts, "results": self.rows})
