from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest

from data.errors import DataError, Interrupted
from data.images import pack_pixels
from data.images.decode import decode
from data.images.pack_build import build_pack
from data.images.sources import Hdf5Images
from tests.data.pack.shared import SIZE, N, build, ids_of


def test_pack_equals_a_plain_loop(source: Hdf5Images, tmp_path: Path) -> None:
    pack = build(source, tmp_path / "cache" / "pack")
    ids = ids_of(source)
    assert pack.ids.tolist() == ids.tolist()
    assert pack.size == SIZE
    assert set(pack.missing) == {"lesion_004", "lesion_017", "lesion_absent"}
    assert "damaged JPEG" in pack.missing["lesion_004"]
    assert "not a JPEG" in pack.missing["lesion_017"]
    for row, lesion_id in enumerate(ids.tolist()):
        assert pack.present[row] == (lesion_id not in pack.missing)
        if pack.present[row]:
            np.testing.assert_array_equal(pack.images[row], decode(source.read(lesion_id), SIZE))
        else:
            assert not pack.images[row].any()
    assert not pack.images.flags.writeable
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == ["pack"]


def test_rows_of_finds_ids_in_any_order(source: Hdf5Images, tmp_path: Path) -> None:
    pack = build(source, tmp_path / "pack")
    asked = [*pack.ids[[3, 0, 20, 3]].tolist(), "unknown", "", "zzzzzzzzzzzzzzzzzzzzzzzz"]
    assert pack.rows_of(asked).tolist() == [3, 0, 20, 3, -1, -1, -1]
    assert pack.rows_of(asked).dtype == np.int64
    assert pack.rows_of([]).tolist() == []


def test_any_number_of_workers_gives_the_same_bytes(source: Hdf5Images, tmp_path: Path) -> None:
    one, five = build(source, tmp_path / "one", workers=1), build(source, tmp_path / "five", workers=5)
    for name in ("images.npy", "ids.npy", "present.npy"):
        assert (one.folder / name).read_bytes() == (five.folder / name).read_bytes()
    assert one.report["checksums"] == five.report["checksums"]
    assert one.report["missing"] == five.report["missing"]
    assert list(one.report["missing"]) == one.ids[~one.present].tolist()


def test_processes_give_the_bytes_of_threads(
    source: Hdf5Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_threads = build(source, tmp_path / "threads", workers=2)
    monkeypatch.setattr(pack_pixels, "PROCESSES_FROM", 1)
    by_processes = build(source, tmp_path / "processes", workers=2)
    np.testing.assert_array_equal(by_processes.images, by_threads.images)
    assert by_processes.report["checksums"] == by_threads.report["checksums"]
    assert by_processes.missing == by_threads.missing


def test_a_process_that_dies_ends_the_build_with_one_message(
    source: Hdf5Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pack_pixels, "PROCESSES_FROM", 1)

    def kill(done: int, total: int, **figures: float) -> None:
        for process in active_children():
            process.kill()

    with pytest.raises(DataError, match="a process that decodes images died"):
        build(source, tmp_path / "cache" / "pack", workers=2, progress=kill)
    assert not [path for path in (tmp_path / "cache").iterdir() if not path.name.startswith(".")]


def test_a_finished_pack_is_not_built_again(source: Hdf5Images, tmp_path: Path) -> None:
    before = build(source, tmp_path / "pack").folder.stat().st_mtime_ns
    steps: list[int] = []
    again = build(source, tmp_path / "pack", progress=lambda done, total, **_: steps.append(done))
    assert steps == []
    assert again.folder.stat().st_mtime_ns == before
    with pytest.raises(DataError, match="3 of 24 lesions"):
        build(source, tmp_path / "pack", max_missing_share=0.05)


def test_progress_counts_lesions(source: Hdf5Images, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []

    def listen(done: int, total: int, **figures: float) -> None:
        assert figures["images_per_second"] > 0
        steps.append((done, total))

    build(source, tmp_path / "pack", progress=listen)
    assert steps[-1] == (N + 1, N + 1)
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})


def test_too_many_missing_stops_and_leaves_nothing(source: Hdf5Images, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"lesion_\d+: .*max_missing_images"):
        build(source, tmp_path / "cache" / "pack", max_missing_share=0.1)
    assert list((tmp_path / "cache").iterdir()) == []
    strangers = np.array(["nobody_1", "nobody_2"])
    with pytest.raises(DataError, match=r"2 of 2 lesions .* nobody_1: no such image; nobody_2"):
        build_pack(source, strangers, tmp_path / "cache" / "pack", size=SIZE)
    with pytest.raises(DataError, match="no lesions"):
        build_pack(source, strangers[:0], tmp_path / "cache" / "pack", size=SIZE)


def test_an_interrupted_build_leaves_nothing(source: Hdf5Images, tmp_path: Path) -> None:
    def interrupt(done: int, total: int, **figures: float) -> None:
        raise Interrupted(130)

    with pytest.raises(Interrupted):
        build(source, tmp_path / "cache" / "pack", progress=interrupt)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_bug_in_a_worker_is_not_hidden(source: Hdf5Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "read", lambda lesion_id: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build(source, tmp_path / "cache" / "pack")
    assert list((tmp_path / "cache").iterdir()) == []
