"""`fusionnetx cache`: what lies there, and only that, can be listed and removed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.files import write_json
from data.held import held_folder


def test_the_cache_is_listed_and_cleared_but_for_what_is_being_made(cli: Callable[..., Any], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.txt").write_text("mine")
    (cache / "abc").mkdir(parents=True)
    write_json(cache / "abc" / "report.json", {"lesions": 1200, "image_size": 64})
    (cache / "link").symlink_to(outside)
    (cache / "cpu_threads").mkdir()
    (cache / "thesis").mkdir()
    (cache / "thesis" / "report.json").write_text("{}")
    with held_folder(cache / "pack") as making:
        answer = cli("cache", cache=cache)
        assert answer.code == 0
        for words in ("1,200 packed images of 64 px", "being made", "unknown", making.name):
            assert words in answer.out
        answer = cli("cache", "--clear", "nonsense", cache=cache)
        assert answer.code == 2
        assert "holds no nonsense" in answer.err
        answer = cli("cache", "--clear", cache=cache)
        assert answer.code == 0, answer
        assert "removed 2 entries" in answer.out
        assert "it seems: thesis, link; left alone unless named" in answer.out
        assert {path.name for path in cache.iterdir()} == {making.name, "link", "thesis"}
        assert cli("cache", "--clear", "link", "thesis", cache=cache).code == 0
        assert [path.name for path in cache.iterdir()] == [making.name]
    assert (outside / "mine.txt").read_text() == "mine"
    assert "is empty" in cli("cache", cache=cache).out
    assert "is empty" in cli("cache", cache=tmp_path / "none").out


def test_a_build_may_go_on_while_its_folder_is_listed(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache" / "abc").mkdir(parents=True)
    gone = tmp_path / "cache" / "abc" / "gone"
    monkeypatch.setattr(Path, "rglob", lambda folder, _pattern: [gone] if folder.name == "abc" else [])
    answer = cli("cache", cache=tmp_path / "cache")
    assert answer.code == 0, answer
    assert "unknown" in answer.out
