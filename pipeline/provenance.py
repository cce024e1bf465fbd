"""What made a result, beside its settings and inputs: versions, machine, commit. Recorded, never compared."""

import os
import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from data.images.pack import usable_cores

RECORDED_PACKAGES = (
    "fusionnetx", "torch", "timm", "lightgbm", "xgboost", "catboost", "optuna", "polars", "scikit-learn",
    "imbalanced-learn", "numpy",
)  # fmt: skip


@cache
def versions() -> dict[str, str]:
    """Installed versions of what can change a result."""
    found = {}
    for package in RECORDED_PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """What of the machine can change a result: above all how many threads add up its sums."""
    torch = sys.modules.get("torch")
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": platform.machine(),
        "cpus": os.cpu_count(),
        "cores": usable_cores(),
        "torch_threads": None if torch is None else torch.get_num_threads(),
    }


@cache
def commit() -> str | None:
    """The git commit of the code, recorded but never part of a fingerprint."""
    try:
        answer = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
            capture_output=True, text=True, timeout=5, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
