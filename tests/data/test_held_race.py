"""A folder made at the moment when another process clears leftovers away."""

import os
from pathlib import Path

import pytest

from data import files, held


def test_a_folder_taken_before_its_lock_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Path] = []
    make = Path.mkdir

    def made_and_taken(folder: Path, *args: object, **kwargs: object) -> None:
        make(folder, *args, **kwargs)  # type: ignore[arg-type]
        if not taken:
            taken.append(folder)
            assert files.remove_leftovers(tmp_path, of="pack") == [folder]

    monkeypatch.setattr(Path, "mkdir", made_and_taken)
    folder, descriptor = held.locked_folder(tmp_path / "pack")
    os.close(descriptor)
    assert not taken[0].exists()
    assert folder.is_dir()
    assert folder != taken[0]


def test_a_folder_whose_maker_came_first_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, descriptor = held.locked_folder(tmp_path / "pack")
    monkeypatch.setattr(files, "is_leftover", lambda path: True)  # as it was seen before the maker took the lock
    files.remove_leftovers(tmp_path, of="pack")
    assert folder.is_dir()
    os.close(descriptor)
    files.remove_leftovers(tmp_path, of="pack")
    assert not folder.exists()
