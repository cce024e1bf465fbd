"""The demo's stage one, its fold models side by side against one after the other with all threads."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

GOAL = 1.5
"""How many times faster side by side must be on two quiet cores."""
ONE_AFTER_THE_OTHER = ("resources.image_models_at_once=1", f"resources.image_model_cpus={os.cpu_count() or 1}")


def measure(folder: Path, changes: Sequence[str] = ()) -> dict[str, Any]:
    """Seconds of both ways and their ratio; `changes` go into the recipe of both."""
    # The invented images are drawn and packed beforehand, once for both.
    stage_one(folder, "before", (*changes, "image_models[*].epochs=1"))
    one_by_one = stage_one(folder, "one after the other", (*changes, *ONE_AFTER_THE_OTHER))
    side_by_side = stage_one(folder, "side by side", changes)
    return {
        "name": "stage one of the demo",
        "ours": round(side_by_side, 1),
        "one after the other": round(one_by_one, 1),
        "ratio": round(one_by_one / side_by_side, 2),
        "unit": "s",
        "goal": GOAL,
    }


def stage_one(folder: Path, run: str, changes: Sequence[str]) -> float:
    """Seconds that `fusionnetx oof --recipe demo` takes in a new run folder, with the cache of all runs here."""
    asked = [word for change in changes for word in ("--set", change)]
    command = [sys.executable, "-m", "fusionnetx", "oof", "--recipe", "demo", "--run", str(folder / run), *asked]
    began = time.perf_counter()
    done = subprocess.run(
        command,
        env={**os.environ, "FUSIONNETX_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {done.returncode}: {done.stderr.strip()}")
    return time.perf_counter() - began


def show(found: dict[str, Any]) -> None:
    """Print one line."""
    print(
        f"{found['name']}: side by side {found['ours']:,.1f} s, one after the other with all threads "
        f"{found['one after the other']:,.1f} s, {found['ratio']:.2f} times faster (goal {found['goal']:g})"
    )
