"""How much faster several processes on one card train than one: a small network alone leaves it mostly idle.

Run as a program, this file is one of those processes: it warms up, says that it is ready, and fits once each time that
it is told to.
"""

import json
import statistics
import sys
from contextlib import ExitStack

import torch

from benchmarks.gpu_check.setting import Found, Line, Setting, made_up
from benchmarks.gpu_check.steps import shortened
from benchmarks.measuring import answers, heard, started

OWN = "benchmarks.gpu_check.together"
THREADS = 3
"""Of a processor, beside a card: one gathers, one launches, one talks."""
WORTHWHILE = 1.5
"""Speed of the best number of processes against one that is asked for on a card."""


def measure(setting: Setting, _: dict[str, Found]) -> Found:
    """Steps per second summed over 1, 2, 4 and 6 processes that train the same network at the same time."""
    counts = (1, 2) if setting.small else (1, 2, 4, 6)
    name = list(setting.networks())[1]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(started(OWN, setting.device, name, int(setting.small))) for _ in range(max(counts))
        ]
        stack.callback(lambda: [process.kill() for process in processes])
        for process in processes:
            heard(process)
        speeds = {count: sum(answers(processes[:count], "go")) for count in counts}
    best = max(speeds.values()) / speeds[1]
    said = ", ".join(f"{count}: {speed:.0f}" for count, speed in speeds.items())
    good = best >= WORTHWHILE if setting.on_cuda else None
    lines = [Line(f"{name}, steps/s by processes", f"{said}; {best:.2f} x one", f"{WORTHWHILE:g} x", good)]
    return Found({"network": name, "steps_per_second": {str(c): s for c, s in speeds.items()}, "gain": best}, lines)


def serve(device: str, name: str, small: bool) -> None:
    """Fit whenever a line comes, and say how many steps a second an epoch made in the median."""
    setting = Setting(torch.device(device), small)
    torch.set_num_threads(THREADS if setting.on_cuda else 1)
    recipe = setting.networks()[name]
    lesions = made_up((3 if small else 20) * recipe.batch_size, recipe.image_size)
    setting.fit(shortened(recipe, 1), lesions)
    print(json.dumps("ready"), flush=True)
    for _ in sys.stdin:
        report = setting.fit(shortened(recipe, 3 if small else 8), lesions).report
        seconds = statistics.median(epoch.seconds for epoch in report.epochs[1:])
        print(json.dumps(report.steps / len(report.epochs) / seconds), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], sys.argv[3] == "1")
