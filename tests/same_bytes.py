"""Whether this checkout computes what another commit computes: `python -m tests.same_bytes COMMIT [--small]`.

The demo is run by both, each with its own code, recipe and cache, and every file that holds a result is compared byte
by byte. Exit code 0: all are the same; 1: some are not; 2: a run failed. Takes as long as two runs of the demo.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from data.errors import DataError
from data.files import fingerprint, read_json, sha256_of

ROOT = Path(__file__).parents[1]
WHAT = {
    "synthetic cohort": ("cache/synthetic/*.csv", "cache/synthetic/*.hdf5"),
    "folds": ("run/folds.parquet",),
    "image models": ("run/oof/*/fold*/model.safetensors",),
    "what image models say": ("run/oof/*/fold*/**/predictions.parquet",),
    "out-of-fold tables": ("run/oof/*.parquet", "run/tabular/oof.parquet", "run/tabular/test.parquet"),
    "encoders": ("run/features/fold_*/encoder.json",),
    "boosters": ("run/tabular/*/fold_*/seed_*/model.*",),
    "what boosters say": ("run/tabular/*/fold_*/seed_*/predictions.parquet",),
    "blend": ("run/tabular/blend.json",),
    "submission": ("run/submission.csv",),
    "scores": ("run/metrics.json",),
}
"""What is compared, and the files that hold it, in the order in which one follows from another."""
SCORES = ("score", "cohort", "cross_validated", "test")
"""Parts of metrics.json that are computed; the rest says when, by what and of which recipe."""
ALIKE = ("resources.image_model_cpus=1",)
"""Changes of the recipe on both sides: with another number of threads a network's sums round otherwise."""
SHOWN = 20
"""Names of files that are printed when they differ."""


@dataclass(frozen=True)
class Compared:
    """One line of the table."""

    what: str
    same: int
    different: tuple[str, ...]
    """Files that are not the same, or are on one side alone; each with what is wrong."""


def compare(ours: Path, theirs: Path) -> list[Compared]:
    """Compare two folders that hold a `run` and a `cache`."""
    rows = []
    for what, patterns in WHAT.items():
        left, right = (results(folder, patterns) for folder in (ours, theirs))
        names = sorted({*left, *right})
        wrong = tuple(
            f"{name} {'is only there' if name not in left else 'is only here' if name not in right else 'differs'}"
            for name in names
            if left.get(name) != right.get(name)
        )
        rows.append(Compared(what, len(names) - len(wrong), wrong))
    return rows


def results(folder: Path, patterns: Sequence[str]) -> dict[str, str]:
    """Checksum of the result in every file that a pattern finds, by its name without what differs by commit."""
    found = {}
    for pattern in patterns:
        for path in folder.glob(pattern.replace("/synthetic/", "/synthetic-*/")):
            name = path.relative_to(folder)
            steady = "cache/synthetic" if name.parts[0] == "cache" else str(name.parent)
            found[f"{steady}/{path.name}"] = checksum_of(path)
    return found


def checksum_of(path: Path) -> str:
    """Checksum of what is a result in a file: all of it, but for scores and networks."""
    if path.name == "metrics.json":
        figures = read_json(path)
        return fingerprint({key: figures.get(key) for key in SCORES})
    if path.suffix == ".safetensors":
        return tensors_checksum(path)
    return sha256_of(path)


def tensors_checksum(path: Path) -> str:
    """Checksum of the tensors of a network; its header also says how the recipe spelled it, which may change."""
    whole = path.read_bytes()
    size = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + size])
    header.pop("__metadata__", None)
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode() + whole[8 + size :]).hexdigest()


def run_demo(checkout: Path, folder: Path, small: bool) -> None:
    """Run the demo with the code of a checkout, into `run` and `cache` of a folder."""
    changes = [*(small_changes(checkout) if small else ()), *ALIKE]
    command = [
        *("-m", entry_point(checkout), "submission", "--recipe", "demo", "--run", str(folder / "run")),
        *(word for change in changes for word in ("--set", change)),
    ]
    call(checkout, command, cache=folder / "cache")


def entry_point(checkout: Path) -> str:
    """The module that is the command line: it was the pipeline before it had a room of its own."""
    return "fusionnetx" if (checkout / "fusionnetx" / "__main__.py").is_file() else "pipeline"


def small_changes(checkout: Path) -> list[str]:
    """What makes the demo small, as the checkout's own recipe is spelled."""
    module = next(
        module
        for module in ("research.commands.studies", "research.commands.faults", "pipeline.commands.trust")
        if (checkout / f"{module.replace('.', '/')}.py").is_file()
    )
    said = call(checkout, ["-c", f"import json, {module} as m; print(json.dumps(m.SMALL))"])
    return [str(change) for change in json.loads(said)]


def call(checkout: Path, command: Sequence[str], cache: Path | None = None) -> str:
    """Run Python with the packages of a checkout; what it printed. DataError when it fails."""
    variables = {**os.environ, "PYTHONPATH": str(checkout)}
    if cache is not None:
        variables["FUSIONNETX_CACHE"] = str(cache)
    done = subprocess.run(
        [sys.executable, *command], cwd=checkout, env=variables, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-5:]
        raise DataError(f"the demo of {checkout} ended with {done.returncode}: " + "\n".join(last))
    return done.stdout


@contextmanager
def checked_out(commit: str, scratch: Path) -> Iterator[Path]:
    """A worktree of a commit, removed in the end."""
    git(["rev-parse", "--verify", f"{commit}^{{commit}}"], f"{commit} is no commit of this repository")
    folder = scratch / "checkout"
    git(["worktree", "add", "--detach", str(folder), commit], f"{commit} cannot be checked out")
    try:
        yield folder
    finally:
        git(["worktree", "remove", "--force", str(folder)], f"{folder} cannot be removed")


def git(arguments: Sequence[str], trouble: str) -> None:
    """Call git in this repository; DataError when it fails."""
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise DataError(f"{trouble}: {done.stderr.strip()}")


def show(rows: Sequence[Compared], commit: str, console: Console) -> None:
    """Print a line for each kind of result, then the files that differ."""
    table = Table("result", "same", "not the same", title=f"Results here and at {commit}", title_justify="left")
    for row in rows:
        table.add_row(row.what, str(row.same), str(len(row.different)) if row.different else "")
    console.print(table)
    different = [name for row in rows for name in row.different]
    for name in different[:SHOWN]:
        console.print(f"  {name}", markup=False)
    if len(different) > SHOWN:
        console.print(f"  and {len(different) - SHOWN} more")
    console.print("not the same" if different else "every result is the same, byte for byte")


def main(arguments: Sequence[str]) -> int:
    """Run both, compare, print; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.same_bytes", description=__doc__)
    parser.add_argument("commit", help="what to compare this checkout with")
    parser.add_argument("--small", action="store_true", help="a small demo, with every stage and a search")
    chosen = parser.parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True)
    try:
        with tempfile.TemporaryDirectory(prefix="fusionnetx-") as folder:
            scratch = Path(folder)
            with checked_out(chosen.commit, scratch) as there:
                for name, checkout in (("there", there), ("here", ROOT)):
                    console.print(f"running the demo {name} ...")
                    run_demo(checkout, scratch / name, chosen.small)
                rows = compare(scratch / "here", scratch / "there")
    except DataError as error:
        console.print(f"error: {error}", markup=False)
        return 2
    show(rows, chosen.commit, console)
    return int(any(row.different for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
