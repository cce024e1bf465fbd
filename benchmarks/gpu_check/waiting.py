"""Where the processor waits for the card without need: synchronisations hidden in ordinary operations."""

import warnings
from collections import Counter
from pathlib import Path

import torch

from benchmarks.gpu_check.setting import Found, Line, Setting, made_up

WANTED = 1.0
"""Synchronisations per step on the network's stream, those at the start and end of the fit included."""
WORKING_AHEAD = {"augment.py", "inputs.py", "loader.py"}
"""What runs on a stream of its own, a step ahead: its small copies wait for that stream, not for the network."""


def measure(setting: Setting, _: dict[str, Found]) -> Found:
    """Have PyTorch tell of every one during a fit, and count them by the line of code that caused it."""
    recipe, lesions = setting.toy(epochs=4), made_up(640, 32)
    setting.fit(recipe, lesions)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            steps = setting.fit(recipe, lesions).report.steps
        finally:
            torch.cuda.set_sync_debug_mode("default")
    hidden = [warning for warning in caught if "called a synchronizing" in str(warning.message)]
    places = Counter(f"{Path(warning.filename).name}:{warning.lineno}" for warning in hidden)
    network = {place: count for place, count in places.items() if place.partition(":")[0] not in WORKING_AHEAD}
    per_step = sum(network.values()) / steps
    said = ", ".join(f"{place} {count}" for place, count in Counter(network).most_common(4)) or "none"
    lines = [
        Line("hidden synchronisations per step", f"{per_step:.2f} ({said})", f"{WANTED:g}", per_step <= WANTED),
        Line("the same while working ahead", f"{(len(hidden) - sum(network.values())) / steps:.2f}"),
    ]
    return Found({"per_step": per_step, "steps": steps, "places": dict(places)}, lines)
