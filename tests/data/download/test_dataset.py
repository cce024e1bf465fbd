"""A data set into a folder: what is there is kept, what is missing is fetched, a part is a smaller data set."""

import fcntl
import json
import zipfile
from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data.download import dataset
from data.download.addresses import EDITIONS, ISIC2024, Edition
from data.download.dataset import Fetching, rows_of
from data.download.http import Patience
from data.download.part import Part
from data.errors import DataError, Interrupted
from data.files import sha256_of
from data.images.sources import Hdf5Images
from data.images.zipped import ZippedImages
from data.readers import isic2024
from data.schemas.isic2024 import SCHEMA

AFTERWARDS = [column.name for column in SCHEMA if column.train_only and column.name != "target"]
STEM = "ISIC_2024_Training"


@pytest.fixture
def edition(server: Any, published: Path, tmp_path: Path) -> Edition:
    """The twelve lesions of the fixture on the server, in the archive's form."""
    table = pl.read_csv(published / "train-metadata.csv", infer_schema=False)
    images = Hdf5Images(published / "train-image.hdf5")
    path = tmp_path / "published.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for name in images.ids.tolist():
            packed.writestr(f"{STEM}_Input/{name}.jpg", images.read(name))
        packed.writestr(f"{STEM}_Input/metadata.csv", table.drop("target", *AFTERWARDS).write_csv())
        packed.writestr(f"{STEM}_Input/license.txt", "CC-BY-NC")
    server.does.files |= {
        f"{STEM}_GroundTruth.csv": table.select("isic_id", malignant="target").write_csv().encode(),
        f"{STEM}_Supplement.csv": table.select("isic_id", *AFTERWARDS).write_csv().encode(),
        f"{STEM}_Input.zip": path.read_bytes(),
    }
    return replace(ISIC2024, address=server.address)


def gets(server: Any) -> int:
    return sum(method == "GET" for method, _, _ in server.does.asked)


def test_what_is_fetched_is_read_by_the_reader(
    edition: Edition, server: Any, hasty: Patience, published: Path, tmp_path: Path
) -> None:
    server.does.break_after = 5_000
    seen: list[tuple[int, int]] = []
    fetching = Fetching(edition, tmp_path / "out", patience=hasty)
    assert fetching.run(lambda done, total, **_: seen.append((done, total))) == list(edition.files)
    data = isic2024.read(tmp_path / "out")
    assert data.train.table.height == 12
    assert data.train.target.tolist() == isic2024.read(published).train.target.tolist()
    record = json.loads((tmp_path / "out" / "download.json").read_text())
    assert record["licence"] == "CC BY-NC 4.0"
    assert {name: entry["sha256"] for name, entry in record["files"].items()} == {
        name: sha256_of(tmp_path / "out" / name) for name in edition.files
    }
    assert seen
    assert not data.invented


def test_what_is_there_and_whole_is_not_asked_for_again(
    edition: Edition, server: Any, hasty: Patience, tmp_path: Path
) -> None:
    fetching = Fetching(edition, tmp_path / "out", patience=hasty)
    fetching.run()
    asked = len(server.does.asked)
    assert fetching.run() == []
    assert len(server.does.asked) == asked
    # A damaged file is fetched anew, and it alone.
    path = tmp_path / "out" / f"{STEM}_Supplement.csv"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"x")
    assert fetching.run() == [path.name]
    assert path.read_bytes() == whole


def test_a_stopped_call_leaves_what_is_whole_and_the_next_goes_on(
    edition: Edition, server: Any, hasty: Patience, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data.download.fetch.CHUNK", 1_000)
    monkeypatch.setattr(dataset, "MB", 1)
    folder = tmp_path / "out"

    def stop(done: int, total: int, **_: float) -> None:
        if done > total * 0.9:
            raise Interrupted(130)

    with pytest.raises(Interrupted):
        Fetching(edition, folder, patience=hasty).run(stop)
    assert not (folder / edition.archive).exists()
    assert Fetching(edition, folder, patience=hasty).run() == [edition.archive]
    assert (folder / edition.archive).read_bytes() == server.does.files[edition.archive]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_part_is_a_smaller_data_set(
    number: int, edition: Edition, server: Any, hasty: Patience, published: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("data.download.part.READ_AHEAD", 2_000)
    server.does.break_after, server.does.breaks = 1_500, 2
    fetching = Fetching(edition, tmp_path / "out", Part(number, 3), hasty)
    assert fetching.run() == list(edition.files)
    part, whole = isic2024.read(tmp_path / "out"), isic2024.read(published)
    expected = whole.train.ids[4 * (number - 1) : 4 * number].tolist()
    assert part.train.ids.tolist() == expected
    assert isinstance(part.train_images, ZippedImages)
    assert whole.train_images is not None
    assert part.train_images.ids.tolist() == expected
    assert all(part.train_images.read(name) == whole.train_images.read(name) for name in expected)
    with zipfile.ZipFile(tmp_path / "out" / edition.archive) as smaller:
        assert smaller.read(f"{STEM}_Input/license.txt") == b"CC-BY-NC"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        [*edition.files, "download.json", ".download.lock"]
    )
    assert fetching.run() == []


def test_a_part_asks_for_its_own_bytes(
    edition: Edition, server: Any, hasty: Patience, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data.download.part.READ_AHEAD", 10)
    archive = server.does.files[edition.archive]
    Fetching(edition, tmp_path / "out", Part(2, 6), hasty).run()
    asked = 0
    for what in server.does.gets(edition.archive):
        assert what is not None
        first, _, last = what.removeprefix("bytes=").partition("-")
        asked += int(last) + 1 - int(first)
    assert asked < 0.6 * len(archive)  # two tiles, the list, and the other files


def test_a_part_needs_ranges_and_enough_images(edition: Edition, server: Any, hasty: Patience, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has 12 images, too few for so many parts"):
        Fetching(edition, tmp_path / "out", Part(1, 50), hasty).run()
    server.does.ranges = False
    with pytest.raises(DataError, match="gives whole files only"):
        Fetching(edition, tmp_path / "out", Part(1, 3), hasty).run()


def test_a_spoilt_tile_of_a_part_is_noticed_by_its_own_checksum(
    edition: Edition, server: Any, hasty: Patience, tmp_path: Path
) -> None:
    def spoil(does: Any, name: str) -> None:
        of_tiles = name == edition.archive and does.asked[-1][2].startswith("bytes=0-")
        does.spoil = int(of_tiles)

    server.does.before_get = spoil
    with pytest.raises(DataError, match=r"what was fetched of it is damaged .*Start again"):
        Fetching(edition, tmp_path / "out", Part(1, 3), hasty).run()
    assert not (tmp_path / "out" / edition.archive).exists()
    server.does.before_get = lambda does, name: None
    assert Fetching(edition, tmp_path / "out", Part(1, 3), hasty).run() == [edition.archive]


def test_a_part_of_an_archive_that_changes_is_given_up(
    edition: Edition, server: Any, hasty: Patience, tmp_path: Path
) -> None:
    def change(does: Any, name: str) -> None:
        if name == edition.archive and len(does.gets(name)) == 2:
            does.files[name] += b"x"

    server.does.before_get = change
    with pytest.raises(DataError, match="has been changed while"):
        Fetching(edition, tmp_path / "out", Part(1, 3), hasty).run()
    assert not (tmp_path / "out" / edition.archive).exists()


def test_a_part_of_something_else_is_refused(edition: Edition, server: Any, hasty: Patience, tmp_path: Path) -> None:
    server.does.files[edition.archive] = b"no archive at all" * 100
    with pytest.raises(DataError, match="is not a zip archive"):
        Fetching(edition, tmp_path / "out", Part(1, 3), hasty).run()


def test_a_folder_of_another_part_or_with_strange_files_is_refused(
    edition: Edition, server: Any, hasty: Patience, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    Fetching(edition, folder, Part(1, 3), hasty).run()
    for part in (None, Part(2, 3)):
        with pytest.raises(DataError, match=r"holds ISIC 2024, part 1/3. Choose another folder with --out"):
            Fetching(edition, folder, part, hasty).run()
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / edition.archive).write_bytes(b"mine")
    before = gets(server)
    with pytest.raises(DataError, match="is there already and was not fetched by this command"):
        Fetching(edition, strange, None, hasty).run()
    assert gets(server) == before
    assert (strange / edition.archive).read_bytes() == b"mine"


def test_a_full_disk_is_noticed_before_a_byte_is_fetched(
    edition: Edition, server: Any, hasty: Patience, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage(dataset.SPARE + 100))
    with pytest.raises(DataError, match="are still to be fetched and 50 MB are free"):
        Fetching(edition, tmp_path / "out", patience=hasty).run()
    assert gets(server) == 0


def test_one_message_says_what_stays_and_how_to_get_the_files_otherwise(
    edition: Edition, server: Any, hasty: Patience, tmp_path: Path
) -> None:
    del server.does.files[edition.archive]
    with pytest.raises(DataError, match="answers 404") as caught:
        Fetching(edition, tmp_path / "out", patience=hasty).run()
    for said in (edition.page, edition.archive, f"stays in {tmp_path / 'out'}"):
        assert said in str(caught.value)


def test_two_processes_do_not_fetch_into_one_folder(edition: Edition, hasty: Patience, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    with (folder / ".download.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="another process is fetching into"):
            Fetching(edition, folder, patience=hasty).run()


@pytest.mark.parametrize("text", ["", "1", "0/3", "4/3", "1/0", "a/b", "1/3/5", "-1/3"])
def test_what_is_no_part(text: str) -> None:
    with pytest.raises(DataError, match="such as 1/10"):
        Part.parse(text)


def test_parts_are_all_there_is_and_alike() -> None:
    parts = [range(401_059)[Part(k, 7).of(401_059)] for k in range(1, 8)]
    assert [number for part in parts for number in part] == list(range(401_059))
    assert {len(part) for part in parts} <= {401_059 // 7, 401_059 // 7 + 1}
    assert str(Part.parse("3/10")) == "3/10"


def test_rows_keep_their_quotes_and_other_tables_stay() -> None:
    table = b'\xef\xbb\xbfisic_id,note\nISIC_1,"a, ""b"""\nISIC_2,c\n'
    assert rows_of(table, frozenset({"ISIC_1"})) == b'isic_id,note\nISIC_1,"a, ""b"""\n'
    assert rows_of(b"other\n1\n", frozenset()) == b"other\n1\n"


def test_every_edition_names_files_that_its_reader_looks_for() -> None:
    from data.readers.isic2024_archive import EDITIONS as READ

    for edition, stem in zip(EDITIONS["isic2024"], READ, strict=True):
        assert edition.files == (f"{stem}_GroundTruth.csv", f"{stem}_Supplement.csv", f"{stem}_Input.zip")
        assert edition.address.startswith("https://")
