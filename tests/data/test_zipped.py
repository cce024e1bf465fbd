"""Images in a zip archive: read as from a folder, and every damage named."""

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from data.errors import DataError
from data.images.sources import FolderImages
from data.images.zipped import ZippedImages


@pytest.fixture
def pictures(make_jpeg: Callable[..., bytes]) -> dict[str, bytes]:
    return {f"ISIC_{number}": make_jpeg(number) for number in (3, 1, 2)}


def write(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> ZippedImages:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return ZippedImages(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_images_are_those_of_the_folder(method: int, pictures: dict[str, bytes], tmp_path: Path) -> None:
    inside = {f"some/{name}.jpg": data for name, data in pictures.items()}
    others = {"some/metadata.csv": b"x", "some/.ISIC_1.jpg": b"x", "__MACOSX/some/ISIC_1.jpg": b"x"}
    packed = write(tmp_path / "images.zip", inside | others, method)
    for name, data in pictures.items():
        (tmp_path / "folder").mkdir(exist_ok=True)
        (tmp_path / "folder" / f"{name}.jpg").write_bytes(data)
    folder = FolderImages(tmp_path / "folder")
    again = pickle.loads(pickle.dumps(packed))  # noqa: S301 - what was written in the same line
    for source in (packed, again):
        assert source.ids.tolist() == folder.ids.tolist() == ["ISIC_1", "ISIC_2", "ISIC_3"]
        assert all(source.read(name) == data for name, data in pictures.items())
    assert again.fingerprint == packed.fingerprint
    for name in ("ISIC_0", "ISIC_9", ""):
        with pytest.raises(DataError, match=r"images.zip has no image of"):
            packed.read(name)


def test_two_images_of_one_lesion_are_refused(pictures: dict[str, bytes], tmp_path: Path) -> None:
    packed = write(tmp_path / "images.zip", {"a/ISIC_1.jpg": pictures["ISIC_1"], "b/ISIC_1.png": b"x"})
    with pytest.raises(DataError, match=r"two images of one lesion: a/ISIC_1.jpg and b/ISIC_1.png"):
        _ = packed.ids


def test_damage_is_named(pictures: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "images.zip"
    write(path, {f"{name}.jpg": data for name, data in pictures.items()})
    whole = path.read_bytes()
    place = whole.index(pictures["ISIC_1"])

    def damaged(data: bytes) -> ZippedImages:
        path.write_bytes(data)
        return ZippedImages(path)

    one_byte = damaged(whole[: place + 50] + bytes([whole[place + 50] ^ 1]) + whole[place + 51 :])
    with pytest.raises(DataError, match="the image of ISIC_1 is damaged"):
        one_byte.read("ISIC_1")
    assert one_byte.read("ISIC_2") == pictures["ISIC_2"]
    header = damaged(whole[: place - 40] + b"\0" * 40 + whole[place:])
    with pytest.raises(DataError, match="the image of ISIC_1 cannot be read"):
        header.read("ISIC_1")
    for data in (whole[:-30], b"", b"PK" * 100):
        with pytest.raises(DataError, match="cannot be opened as a zip archive"):
            _ = damaged(data).ids
    with pytest.raises(DataError, match="cannot be opened as a zip archive"):
        _ = ZippedImages(tmp_path / "nowhere.zip").ids


def test_an_entry_that_claims_too_much_is_refused(
    pictures: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = write(tmp_path / "images.zip", {"ISIC_1.jpg": bytes(5000)}, zipfile.ZIP_DEFLATED)
    monkeypatch.setattr("data.images.hdf5_dataset.MAX_ENCODED_BYTES", 4000)
    with pytest.raises(DataError, match="the image of ISIC_1 takes"):
        packed.read("ISIC_1")


def test_a_name_that_a_mac_wrote_in_utf8_without_saying_so(pictures: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "mac.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Läsion_1.jpg", pictures["ISIC_1"])
        archive.writestr("plain.jpg", pictures["ISIC_2"])
    raw = path.read_bytes().replace(b"PK\x03\x04\x14\x00\x00\x08", b"PK\x03\x04\x14\x00\x00\x00")
    path.write_bytes(raw.replace(b"PK\x01\x02\x14\x03\x14\x00\x00\x08", b"PK\x01\x02\x14\x03\x14\x00\x00\x00"))
    with zipfile.ZipFile(path) as archive:
        assert "Läsion_1.jpg" not in archive.namelist()
    source = ZippedImages(path)
    assert source.ids.tolist() == ["Läsion_1", "plain"]
    assert source.read("Läsion_1") == pictures["ISIC_1"]
