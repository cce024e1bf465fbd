"""The wheel, outside the checkout: it holds what the pipeline reads, and the pipeline runs from it."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import polars as pl
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PACKAGES = ("data", "features", "image_models", "tabular", "pipeline", "research", "fusionnetx")


def test_every_version_has_the_checksums_of_its_files():
    """`make setup` installs from hashes.txt; a new version there is written by `make hashes`."""
    pin = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[a-z,]+\])?==([^ \\\n]+)( \\)?$", re.MULTILINE)

    def pins(name: str) -> dict[str, str]:
        found = pin.findall((ROOT / name).read_text())
        return {re.sub(r"[-_.]+", "-", package).lower(): version for package, version, _ in found}

    listed, hashed = pins("constraints.txt"), pins("hashes.txt")
    wrong = {name for name, version in hashed.items() if listed.get(name, version) != version}
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    needed = [*project["dependencies"], *(one for group in project["optional-dependencies"].values() for one in group)]
    names = {re.sub(r"[-_.]+", "-", re.split(r"[\[<>=;]", one)[0]).lower() for one in needed} - {"fusionnetx"}
    assert (wrong, names - hashed.keys()) == (set(), set()), "run make hashes"
    lines = (ROOT / "hashes.txt").read_text().splitlines()[1:]
    package = re.compile(r"[a-z0-9._-]+(\[[a-z,]+\])?==[^ ]+ \\")
    assert all(package.fullmatch(line) or re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in lines)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that no build folder is left in the checkout."""
    source = tmp_path_factory.mktemp("source")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return next(out.glob("fusionnetx-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel; its dependencies are those of this one, for they are several GB."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(python),
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            str(wheel),
        ],
        check=True,
    )
    # After the installation, which would else find this checkout's own and leave it at that.
    own_packages = next((environment / "lib").glob("python3*")) / "site-packages"
    (own_packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return environment


def run(environment: Path, *arguments: object, cwd: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(
        [str(environment / "bin" / arguments[0]), *map(str, arguments[1:])],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**variables, "FUSIONNETX_CACHE": str(cache), "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
    )


def test_the_wheel_holds_what_is_read_at_run_time_and_nothing_else(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in PACKAGES:
        read = [
            path
            for suffix in ("py", "toml", "json", "csv", "html", "css", "js")
            for path in (ROOT / package).rglob(f"*.{suffix}")
        ]
        missing = {str(path.relative_to(ROOT)) for path in read} - names
        assert not missing
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


def test_the_packages_come_from_the_wheel(installed: Path, tmp_path: Path):
    for package in PACKAGES:
        answer = run(
            installed, "python", "-c", f"import {package}; print({package}.__file__)", cwd=tmp_path, cache=tmp_path
        )
        assert answer.stdout.startswith(str(installed)), answer


def test_the_command_runs_outside_the_checkout(
    installed: Path, tiny_recipe: Path, cohort_dir: Path, finished_run: Path, tmp_path: Path
):
    answer = run(installed, "fusionnetx", "recipes", cwd=tmp_path, cache=tmp_path)
    assert answer.returncode == 0, answer
    assert "demo" in answer.stdout
    answer = run(installed, "fusionnetx", "submission", "--recipe", tiny_recipe, cwd=tmp_path, cache=cohort_dir.parent)
    assert answer.returncode == 0, answer
    ours = pl.read_csv(tmp_path / "runs" / "tiny" / "submission.csv")
    assert ours.equals(pl.read_csv(finished_run / "submission.csv"))
