"""Where a verb may write: a regular file that is none of those it reads, or a folder; said before any work is done."""

from collections.abc import Iterable
from pathlib import Path

from data.errors import DataError
from data.files import refuse_to_replace


def refuse_output(out: Path, inputs: Iterable[Path | None]) -> None:
    """DataError for an output file that is an input, lies in a folder of inputs, or is no regular file."""
    refuse_to_replace(out)
    place = out.resolve()
    for path in inputs:
        if path is None:
            continue
        read = path.resolve()
        if place == read or (out.exists() and path.exists() and out.samefile(path)):
            raise DataError(f"{out} is what is read: name another file with --out")
        if path.is_dir() and place.is_relative_to(read):
            raise DataError(f"{out} lies in {path}, which is read: name a file elsewhere with --out")


def refuse_folder(out: Path) -> None:
    """DataError for an output folder that is something else, or has no name of its own."""
    if out.name in ("", "..") or (out.exists() and not out.is_dir()):
        raise DataError(f"{out} is no folder of its own: name one with --out")
