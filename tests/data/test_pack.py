import errno
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest

from data.errors import DataError, Interrupted
from data.images import pack as pack_module
from data.images import pack_build, pack_pixels
from data.images.decode import decode
from data.images.pack import BLOCK_BYTES, ImagePack, digest, pack_fingerprint
from data.images.pack_build import build_pack
from data.images.sources import Hdf5Images

SIZE = 16
N = 23


@pytest.fixture
def source(tmp_path: Path, make_jpeg: Callable[..., bytes], make_images: Callable[..., None]) -> Hdf5Images:
    images = {f"lesion_{i:03d}": make_jpeg(i, 30 + i) for i in range(N)}
    images["lesion_004"] = images["lesion_004"][:300]
    images["lesion_017"] = b"GIF89a"
    make_images(tmp_path / "images.hdf5", images)
    return Hdf5Images(tmp_path / "images.hdf5")


@pytest.fixture(autouse=True)
def many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack_pixels, "CHUNK_BYTES", 4 * SIZE * SIZE * 3)


def ids_of(source: Hdf5Images) -> np.ndarray:
    """The lesions in an order of their own, one of which has no image."""
    return np.array([*np.random.default_rng(0).permutation(source.ids).tolist(), "lesion_absent"])


def build(source: Hdf5Images, folder: Path, **options: object) -> ImagePack:
    return build_pack(source, ids_of(source), folder, **{"size": SIZE, "max_missing_share": 0.2, **options})


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


def flip(path: Path, position: int) -> None:
    with path.open("r+b") as handle:
        handle.seek(position, os.SEEK_END)
        byte = handle.read(1)[0]
        handle.seek(position, os.SEEK_END)
        handle.write(bytes([byte ^ 1]))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "pixel in the last chunk": lambda folder: flip(folder / "images.npy", -5),
    "pixel in the middle": lambda folder: flip(folder / "images.npy", -11 * SIZE * SIZE * 3),
    "header": lambda folder: flip(folder / "images.npy", -(N + 1) * SIZE * SIZE * 3 - 60),
    "cut images": lambda folder: os.truncate(folder / "images.npy", 5000),
    "empty images": lambda folder: os.truncate(folder / "images.npy", 0),
    "no images": lambda folder: (folder / "images.npy").unlink(),
    "id": lambda folder: flip(folder / "ids.npy", -4),
    "mask": lambda folder: flip(folder / "present.npy", -1),
    "cut mask": lambda folder: os.truncate(folder / "present.npy", 100),
    "other mask": lambda folder: np.save(folder / "present.npy", np.ones(3, bool)),
    "report cut": lambda folder: os.truncate(folder / "report.json", 50),
    "report of another kind": lambda folder: (folder / "report.json").write_text("[1, 2]"),
    "report without checksums": lambda folder: (folder / "report.json").write_text(
        json.dumps({**json.loads((folder / "report.json").read_text()), "checksums": {}})
    ),
    "report of another version": lambda folder: (folder / "report.json").write_text(
        json.dumps({**json.loads((folder / "report.json").read_text()), "format": 99})
    ),
    "pickled ids": lambda folder: np.save(folder / "ids.npy", np.array(["a", 1], dtype=object), allow_pickle=True),
    "no report": lambda folder: (folder / "report.json").unlink(),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_found_and_the_next_build_repairs_it(source: Hdf5Images, tmp_path: Path, what: str) -> None:
    folder = build(source, tmp_path / "cache" / "pack").folder
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    DAMAGE[what](folder)
    with pytest.raises(DataError, match=r"damaged|no finished image pack"):
        ImagePack.open(folder)
    build(source, folder)
    assert {name: (folder / name).read_bytes() == data for name, data in whole.items() if name != "report.json"} == {
        "images.npy": True,
        "ids.npy": True,
        "present.npy": True,
    }
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == ["pack"]


def test_a_large_pack_is_sampled_and_checked_whole_on_request(
    source: Hdf5Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build(source, tmp_path / "pack").folder
    monkeypatch.setattr(pack_module, "SAMPLED_BYTES", 1)
    flip(folder / "images.npy", -11 * SIZE * SIZE * 3)
    ImagePack.open(folder)
    ImagePack.open(folder, verify=False)
    with pytest.raises(DataError, match=r"rows 12 to 15 of images.npy"):
        ImagePack.open(folder, verify="full")
    flip(folder / "images.npy", -1)
    with pytest.raises(DataError, match="rows 20 to 23"):
        ImagePack.open(folder)


def test_fingerprint_depends_on_images_lesions_order_and_size(source: Hdf5Images, tmp_path: Path) -> None:
    ids = source.ids
    base = pack_fingerprint(source, ids, 16)
    moved = Hdf5Images(Path(shutil.copy(source.path, tmp_path / "moved.hdf5")))
    assert pack_fingerprint(moved, ids, 16) == base
    assert len({base, pack_fingerprint(source, ids[::-1], 16), pack_fingerprint(source, ids[1:], 16)}) == 3
    assert pack_fingerprint(source, ids, 17) != base


def test_another_pack_under_the_same_name_is_replaced(source: Hdf5Images, tmp_path: Path) -> None:
    build(source, tmp_path / "pack")
    other = build(source, tmp_path / "pack", size=8)
    assert ImagePack.open(tmp_path / "pack").size == other.size == 8


def test_the_slower_of_two_builds_uses_the_faster_ones_pack(source: Hdf5Images, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "pack"
    inode: list[int] = []

    def outrun(done: int, total: int, **figures: float) -> None:
        if done == total and not inode:
            inode.append(0)
            inode[0] = build(source, folder).folder.stat().st_ino

    pack = build(source, folder, progress=outrun)
    assert pack.folder.stat().st_ino == inode[0]
    assert [entry.name for entry in folder.parent.iterdir()] == ["pack"]


def test_builds_at_the_same_time_agree(source: Hdf5Images, tmp_path: Path) -> None:
    packs: list[ImagePack] = []
    threads = [threading.Thread(target=lambda: packs.append(build(source, tmp_path / "c" / "p"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(packs) == 4
    assert ImagePack.open(tmp_path / "c" / "p", verify="full").present.sum() == N - 2
    assert [entry.name for entry in (tmp_path / "c").iterdir()] == ["p"]


def test_what_dead_builds_left_is_removed_and_living_ones_are_not(source: Hdf5Images, tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    host = pack_build.socket.gethostname()
    names = {
        "dead": f".pack.aa.{host}.{child.pid}.tmp",
        "living": f".pack.bb.{host}.{os.getppid()}.tmp",
        "elsewhere": ".pack.cc.another-host.1.tmp",
        "old": ".pack.dd.another-host.2.tmp",
        "other pack": f".other.ee.{host}.{child.pid}.tmp",
    }
    for name in names.values():
        (tmp_path / name).mkdir()
        (tmp_path / name / "images.npy").touch()
    long_ago = time.time() - 2 * pack_build.ABANDONED_SECONDS
    for name in ("old", "living"):
        for path in (tmp_path / names[name] / "images.npy", tmp_path / names[name]):
            os.utime(path, (long_ago, long_ago))
    build(source, tmp_path / "pack")
    assert {what for what, name in names.items() if (tmp_path / name).exists()} == {"living", "elsewhere", "other pack"}


def test_a_full_disk_is_said_before_decoding(
    source: Hdf5Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(DataError, match=r"no room for the decoded images in .*cache"):
        build(source, tmp_path / "cache" / "pack")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_disk_that_fills_up_meanwhile_stops_the_build(
    source: Hdf5Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(DataError, match=r"no room for the decoded images in .*cache"):
        build(source, tmp_path / "cache" / "pack")
    assert list((tmp_path / "cache").iterdir()) == []


def test_opening_needs_numpy_alone(source: Hdf5Images, tmp_path: Path) -> None:
    build(source, tmp_path / "pack")
    script = (
        "import sys, data.images.pack; from pathlib import Path\n"
        "pack = data.images.pack.ImagePack.open(Path(sys.argv[1]))\n"
        "print(len(pack.ids), sorted({'polars','cv2','h5py','PIL','simplejpeg','pydantic'} & set(sys.modules)))"
    )
    root = Path(pack_module.__file__).parents[2]
    out = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "pack"], cwd=root, capture_output=True, text=True, check=True
    )
    assert out.stdout.split(maxsplit=1) == [str(N + 1), "[]\n"]


@pytest.mark.parametrize("size", [4, 31, 64])
def test_the_checksum_sees_one_changed_byte_a_zeroed_page_and_swapped_pages(size):
    pixels = np.random.default_rng(size).integers(1, 255, (5, size, size, 3), dtype=np.uint8)
    whole = digest(pixels)
    raw = pixels.reshape(-1)
    for place in (0, len(raw) // 2, len(raw) - 1):
        changed = raw.copy()
        changed[place] ^= 1
        assert digest(changed) != whole
    if len(raw) > 2 * BLOCK_BYTES:
        zeroed, swapped = raw.copy(), raw.copy()
        zeroed[:BLOCK_BYTES] = 0
        swapped[: 2 * BLOCK_BYTES] = np.roll(raw[: 2 * BLOCK_BYTES], BLOCK_BYTES)
        assert len({whole, digest(zeroed), digest(swapped)}) == 3
    assert digest(pixels.copy()) == whole
