"""The wheels that a notebook without internet installs: the project's own, and those that Kaggle's image lacks."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from data.errors import DataError

LACKING = ("captum", "simplejpeg")
"""Requirements that Kaggle's Python image did not have when this was written; `--lacking` names others."""

PYTHONS = ("3.11", "3.12", "3.13")
"""Kaggle moves its image from one Python to the next; compiled wheels are fetched for each."""

PACKAGES = ("data", "features", "image_models", "tabular", "pipeline", "research", "fusionnetx")
ROOT = Path(__file__).parents[2]


def build_own_wheel(folder: Path) -> Path:
    """Build the project's wheel from its checkout, without leaving a trace there."""
    if not (ROOT / "pyproject.toml").is_file():
        raise DataError(
            "the project's wheel is built from its source, and this is an installed copy: run this in a clone of "
            "FusionNetX"
        )
    with tempfile.TemporaryDirectory(prefix="fusionnetx-") as scratch:
        source = Path(scratch)
        for package in PACKAGES:
            shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, source)
        command = ["-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
        run_python(command, "building the project's wheel failed; `make setup` installs what it needs")
    return next(folder.glob("fusionnetx-*.whl"))


def refuse_unknown(names: Sequence[str]) -> None:
    """DataError for a requirement that is not installed here: nobody could say which version to fetch."""
    for name in names:
        try:
            version(name)
        except (PackageNotFoundError, ValueError):
            raise DataError(
                f"--lacking {name}: no such package is installed here, so nobody knows which version; install it, or "
                "leave it out"
            ) from None


def fetch(names: Sequence[str], folder: Path) -> None:
    """Fetch the wheels of this environment's versions for every Python that Kaggle may have."""
    for name in names:
        for python in PYTHONS:
            command = [
                *("-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
                *("--only-binary=:all:", "--implementation", "cp", "--python-version", python),
                *("--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_28_x86_64"),
                *("--dest", str(folder), f"{name}=={version(name)}"),
            ]
            run_python(
                command,
                f"no wheel of {name} {version(name)} for Python {python} could be fetched: with no internet, put the "
                f"wheels of {', '.join(names)} into {folder} by hand and give --no-download",
            )


def run_python(command: Sequence[str], trouble: str) -> None:
    """Run Python with these arguments; its last words follow `trouble` when it fails."""
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise DataError(f"{trouble} ({' '.join(last)})")
