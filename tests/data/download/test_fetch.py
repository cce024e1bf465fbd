"""One file from a server that breaks off, lies about sizes, serves a changed file, has no ranges."""

import hashlib
import io
import random
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from data.download import fetch as fetching
from data.download.fetch import Window, agrees, bytes_here, fetch, note_path, partial_path
from data.download.http import Patience, Stated, stated
from data.errors import DataError, Interrupted

CONTENT = random.Random(5).randbytes(300_000)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "CHUNK", 10_000)


class Count:
    """What progress was told."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __call__(self, here: int) -> None:
        self.seen.append(here)


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_whole_and_is_counted(server: Any, hasty: Patience, tmp_path: Path) -> None:
    server.does.files["a.csv"] = CONTENT
    count = Count()
    said = fetch(server.url("a.csv"), tmp_path / "a.csv", hasty, count)
    assert (tmp_path / "a.csv").read_bytes() == CONTENT
    assert said == Stated(len(CONTENT), server.does.tag("a.csv"))
    assert count.seen == sorted(count.seen)
    assert count.seen[-1] == len(CONTENT)
    assert left_behind(tmp_path) == ["a.csv"]


def test_an_empty_file_is_a_file(server: Any, hasty: Patience, tmp_path: Path) -> None:
    server.does.files["a.csv"] = b""
    fetch(server.url("a.csv"), tmp_path / "a.csv", hasty, Count())
    assert (tmp_path / "a.csv").read_bytes() == b""


def test_a_connection_that_breaks_goes_on_where_it_stopped(server: Any, hasty: Patience, tmp_path: Path) -> None:
    server.does.files["a.csv"] = CONTENT
    server.does.break_after = 70_000
    fetch(server.url("a.csv"), tmp_path / "a.csv", hasty, Count())
    assert (tmp_path / "a.csv").read_bytes() == CONTENT
    # More breaks than tries: each brought something, so none counts against the server.
    assert server.does.gets("a.csv") == [None, "bytes=70000-", "bytes=140000-", "bytes=210000-", "bytes=280000-"]


def test_without_ranges_it_begins_again(server: Any, hasty: Patience, tmp_path: Path) -> None:
    server.does.files["a.csv"] = CONTENT
    server.does.ranges, server.does.break_after, server.does.breaks = False, 70_000, 2
    fetch(server.url("a.csv"), tmp_path / "a.csv", hasty, Count())
    assert (tmp_path / "a.csv").read_bytes() == CONTENT


def test_a_server_that_never_gets_further_is_given_up(
    server: Any, hasty: Patience, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.does.files["a.csv"] = CONTENT
    server.does.ranges, server.does.break_after = False, 70_000
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    with pytest.raises(
        DataError, match=r"tried 4 times: it broke off after 70,000 of 300,000 bytes. Check the"
    ) as caught:
        fetch(server.url("a.csv"), tmp_path / "a.csv", hasty, Count())
    assert server.url("a.csv") in str(caught.value)
    assert waited == [1, 2, 4]
    assert not (tmp_path / "a.csv").exists()
    assert partial_path(tmp_path / "a.csv").stat().st_size == 70_000


def test_what_a_stopped_call_fetched_is_taken_up(server: Any, hasty: Patience, tmp_path: Path) -> None:
    server.does.files["a.csv"] = CONTENT

    def stop(here: int) -> None:
        if here >= 100_000:
            raise Interrupted(130)

    with pytest.raises(Interrupted):
        fetch(server.url("a.csv"), tmp_path / "a.csv", hasty, stop)
    assert not (tmp_path / "a.csv").exists()
    fetch(server.url("a.csv"), tmp_path / "a.csv", hasty, Count())
    assert (tmp_path / "a.csv").read_bytes() == CONTENT
    first, again = server.does.gets("a.csv")
    assert first is None
    assert int(again.removeprefix("bytes=").removesuffix("-")) >= 100_000


def test_pieces_of_another_edition_are_not_taken_up(server: Any, hasty: Patience, tmp_path: Path) -> None:
    path, url = tmp_path / "a.csv", server.url("a.csv")
    server.does.files["a.csv"] = CONTENT
    window = Window.whole(url, stated(url, hasty))
    for piece, note in ((CONTENT[:50], None), (b"x" * 400_000, window), (b"x" * 50, Window(url, Stated(9, ""), 0, 9))):
        partial_path(path).write_bytes(piece)
        if note is not None:
            fetching.write_json(note_path(path), fetching._note(note))
        assert bytes_here(path, window) == 0
        assert not partial_path(path).exists()


def test_a_file_that_changes_meanwhile_is_fetched_anew(server: Any, hasty: Patience, tmp_path: Path) -> None:
    server.does.files["a.csv"] = CONTENT
    server.does.break_after, server.does.breaks = 70_000, 1
    other = random.Random(6).randbytes(250_000)

    def change(does: Any, name: str) -> None:
        if len(does.gets(name)) == 2:
            does.files[name] = other

    server.does.before_get = change
    said = fetch(server.url("a.csv"), tmp_path / "a.csv", hasty, Count())
    assert (tmp_path / "a.csv").read_bytes() == other
    assert said.size == 250_000


def test_a_file_that_changes_all_the_time_is_given_up(server: Any, hasty: Patience, tmp_path: Path) -> None:
    server.does.files["a.csv"] = CONTENT
    server.does.before_get = lambda does, name: does.files.update({name: does.files[name] + b"x"})
    with pytest.raises(DataError, match="could not be fetched, tried 4 times: it is another file than before"):
        fetch(server.url("a.csv"), tmp_path / "a.csv", hasty, Count())
    assert not (tmp_path / "a.csv").exists()


@pytest.mark.parametrize("wrong", [-500, 500])
def test_a_server_that_lies_about_sizes_is_given_up(wrong: int, server: Any, hasty: Patience, tmp_path: Path) -> None:
    server.does.files["a.csv"] = CONTENT
    server.does.overstate, server.does.ranges = wrong, False
    with pytest.raises(DataError, match="could not be fetched, tried 4 times: it is another file than before"):
        fetch(server.url("a.csv"), tmp_path / "a.csv", hasty, Count())
    assert not (tmp_path / "a.csv").exists()


def test_a_server_that_stands_by_its_lie_is_given_up(server: Any, hasty: Patience, tmp_path: Path) -> None:
    server.does.files["a.csv"] = CONTENT
    server.does.overstate, server.does.firmly, server.does.ranges = 500, True, False
    with pytest.raises(DataError, match="tried 4 times: it broke off after 300,000 of 300,500 bytes"):
        fetch(server.url("a.csv"), tmp_path / "a.csv", hasty, Count())
    server.does.overstate = -500
    with pytest.raises(DataError, match="fetched twice, and its content does not have the checksum"):
        fetch(server.url("a.csv"), tmp_path / "a.csv", hasty, Count())
    assert not (tmp_path / "a.csv").exists()


def test_a_server_that_states_no_size_is_refused(server: Any, hasty: Patience, tmp_path: Path) -> None:
    server.does.files["a.csv"] = CONTENT
    server.does.silent = True
    with pytest.raises(DataError, match="does not say how large the file is"):
        fetch(server.url("a.csv"), tmp_path / "a.csv", hasty, Count())


def test_a_spoilt_byte_is_noticed_and_fetched_once_more(server: Any, hasty: Patience, tmp_path: Path) -> None:
    server.does.files["a.csv"] = CONTENT
    server.does.spoil = 1
    fetch(server.url("a.csv"), tmp_path / "a.csv", hasty, Count())
    assert (tmp_path / "a.csv").read_bytes() == CONTENT
    server.does.spoil = 2
    with pytest.raises(DataError, match="was fetched twice, and its content does not have the checksum"):
        fetch(server.url("a.csv"), tmp_path / "b.csv", hasty, Count())
    assert left_behind(tmp_path) == ["a.csv"]


def test_a_page_in_the_place_of_a_table_is_no_table(server: Any, hasty: Patience, tmp_path: Path) -> None:
    server.does.files["a.csv"] = b"<html>Please log in to the network.</html>"
    server.does.tags = False
    with pytest.raises(DataError, match="fetched twice, and it is not a table with a column isic_id"):
        fetch(server.url("a.csv"), tmp_path / "a.csv", hasty, Count())
    assert left_behind(tmp_path) == []
    server.does.files["a.csv"] = b"\xef\xbb\xbfisic_id,malignant\nISIC_1,0\n"
    fetch(server.url("a.csv"), tmp_path / "a.csv", hasty, Count())


def test_what_came_before_a_reset_stays(
    server: Any, hasty: Patience, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "CHUNK", 2**20)
    server.does.files["a.csv"] = CONTENT
    server.does.break_after, server.does.resets = 70_000, True
    fetch(server.url("a.csv"), tmp_path / "a.csv", hasty, Count())
    assert (tmp_path / "a.csv").read_bytes() == CONTENT


def test_what_a_server_says_is_one_line(server: Any, hasty: Patience, tmp_path: Path) -> None:
    server.does.redirects = True
    with pytest.raises(DataError, match="the server answers 302") as caught:
        fetch(server.url("a.csv"), tmp_path / "a.csv", hasty, Count())
    assert "\n" not in str(caught.value)


def test_a_spoilt_archive_is_noticed_without_a_checksum_of_the_server(
    server: Any, hasty: Patience, tmp_path: Path
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("ISIC_1.jpg", CONTENT)
    server.does.files["a.zip"] = packed.getvalue()
    server.does.tags = False
    fetch(server.url("a.zip"), tmp_path / "a.zip", hasty, Count())
    server.does.spoil = 2
    with pytest.raises(DataError, match=r"fetched twice, and ISIC_1.jpg in it is damaged"):
        fetch(server.url("a.zip"), tmp_path / "b.zip", hasty, Count())
    server.does.files["a.zip"] = packed.getvalue()[:-40]
    with pytest.raises(DataError, match="fetched twice, and it is not a whole zip archive"):
        fetch(server.url("a.zip"), tmp_path / "b.zip", hasty, Count())
    assert left_behind(tmp_path) == ["a.zip"]


def test_a_busy_server_is_waited_for_and_a_missing_file_is_not(server: Any, hasty: Patience, tmp_path: Path) -> None:
    server.does.files["a.csv"] = CONTENT
    server.does.statuses = [503, 429, 500]
    fetch(server.url("a.csv"), tmp_path / "a.csv", hasty, Count())
    before = len(server.does.asked)
    with pytest.raises(DataError, match="the server answers 404 Not Found"):
        fetch(server.url("b.csv"), tmp_path / "b.csv", hasty, Count())
    assert len(server.does.asked) == before + 1
    server.does.statuses = [503] * 4
    with pytest.raises(DataError, match="tried 4 times: the server answers 503"):
        fetch(server.url("a.csv"), tmp_path / "b.csv", hasty, Count())


def test_nobody_there_and_no_address(hasty: Patience, tmp_path: Path, server: Any) -> None:
    with pytest.raises(DataError, match="could not be fetched, tried 4 times"):
        fetch("http://127.0.0.1:9/a.csv", tmp_path / "a.csv", hasty, Count())
    with pytest.raises(DataError, match="is not an address that can be fetched"):
        fetch("a.csv", tmp_path / "a.csv", hasty, Count())


def test_tags_of_files_in_one_piece_and_in_several(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(9 * 2**20))
    whole = hashlib.md5(path.read_bytes()).hexdigest()
    pieces = [hashlib.md5(bytes(size)).digest() for size in (8 * 2**20, 2**20)]
    several = hashlib.md5(b"".join(pieces)).hexdigest()
    assert agrees(path, f'"{whole}"') is True
    assert agrees(path, f'"{several}"') is False
    assert agrees(path, f'"{several}-2"') is True
    assert agrees(path, f'"{several}-3"') is None  # pieces of a size that nobody knows
    assert agrees(path, f'W/"{whole}"') is None
    assert agrees(path, "Sun, 29 Nov 2026 10:00:00 GMT") is None
    assert agrees(path, "") is None
