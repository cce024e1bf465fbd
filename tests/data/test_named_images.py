import pickle
from pathlib import Path

import pytest

from data.errors import DataError
from data.images.joined import NamedImages, stem_of
from data.images.sources import FolderImages


def test_names_lead_to_images_and_nothing_else_is_there(tmp_path: Path) -> None:
    for name in ("a.png", "b.bmp", "overview.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    images = NamedImages(FolderImages(tmp_path), {"first": "a", "second": "b", "third": "c"})
    assert images.ids.tolist() == ["first", "second"]
    assert images.read("second") == b"b.bmp"
    with pytest.raises(DataError, match="no image of c"):
        images.read("third")
    with pytest.raises(DataError, match="names no image of overview"):
        images.read("overview")
    assert pickle.loads(pickle.dumps(images)).read("first") == b"a.png"  # noqa: S301 - workers get copies


def test_the_fingerprint_covers_content_and_names(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"1")
    (tmp_path / "b.png").write_bytes(b"2")
    one = NamedImages(FolderImages(tmp_path), {"x": "a", "y": "b"}).fingerprint
    assert one == NamedImages(FolderImages(tmp_path), {"x": "a", "y": "b"}).fingerprint
    assert one != NamedImages(FolderImages(tmp_path), {"x": "b", "y": "a"}).fingerprint
    (tmp_path / "a.png").write_bytes(b"3")
    assert one != NamedImages(FolderImages(tmp_path), {"x": "a", "y": "b"}).fingerprint


@pytest.mark.parametrize(
    ("name", "stem"),
    [("a.png", "a"), (" part 1/a.JPG ", "a"), ("p\\a.dcm", "a"), ("1.5", "1.5"), ("a.b.bmp", "a.b"), ("a", "a")],
)
def test_stems(name: str, stem: str) -> None:
    assert stem_of(name) == stem
