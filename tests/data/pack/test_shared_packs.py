import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from data.errors import DataError
from data.images import pack as pack_module
from data.images import pack_build
from data.images.pack import BLOCK_BYTES, ImagePack, digest, pack_fingerprint
from data.images.sources import Hdf5Images
from tests.data.pack.shared import DAMAGE, SIZE, N, build, flip


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
