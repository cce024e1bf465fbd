"""Folders of generated files that are either whole or absent, and made once: with a manifest of what is in them.

The files appear together: they are written beside the folder, which is then given its name. The manifest is also the
mark of invented data: it goes along when the folder is copied, and no folder of real data has one.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from data.errors import DataError
from data.files import read_json, read_object, sha256_of, sync_folder, write_json
from data.held import held_folder

MANIFEST = "manifest.json"


def write_whole(folder: Path, identity: Mapping[str, Any], make: Callable[[Path], None]) -> None:
    """Let `make` fill `folder`: a new or empty one, or one that holds what `identity` says (then nothing is done)."""
    if is_whole(folder, identity):
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(
            f"{folder} already holds other files; choose another folder for the synthetic cohort or empty this one"
        )
    with held_folder(folder) as temporary:
        make(temporary)
        write_manifest(temporary, identity)
        try:
            temporary.replace(folder)
        except OSError:
            # Another process may have finished the same folder meanwhile; both are the same bytes.
            if not is_whole(folder, identity):
                raise
        sync_folder(folder.parent)


def write_manifest(folder: Path, identity: Mapping[str, Any]) -> None:
    """Sync every file of a generated folder and write down what they are and what they were made for."""
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb+") as handle:
            os.fsync(handle.fileno())
        files[path.relative_to(folder).as_posix()] = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
    write_json(folder / MANIFEST, {**identity, "files": files})


def is_invented(folder: Path) -> bool:
    """Whether this project generated the data in `folder`: a manifest says by which recipe of which generation."""
    return {"generation", "recipe", "files"} <= (read_object(folder / MANIFEST) or {}).keys()


def is_whole(folder: Path, identity: Mapping[str, Any]) -> bool:
    """Whether `folder` holds all that was made for `identity` (names and sizes are compared, not contents)."""
    if not (folder / MANIFEST).is_file():
        return False
    manifest = read_json(folder / MANIFEST)
    return all(manifest.get(key) == value for key, value in identity.items()) and all(
        (folder / name).is_file() and (folder / name).stat().st_size == file["bytes"]
        for name, file in manifest["files"].items()
    )
