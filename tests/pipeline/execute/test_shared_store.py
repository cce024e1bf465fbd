import uuid
from pathlib import Path

import pytest

from data.errors import DataError
from data.files import sha256_of
from pipeline.execute.shared_store import SharedStore, checksum_of, place


@pytest.fixture
def here(tmp_path: Path) -> dict[str, Path]:
    roots = {"run": tmp_path / "here" / "run", "cache": tmp_path / "here" / "cache"}
    (roots["run"] / "oof" / "narrow").mkdir(parents=True)
    (roots["run"] / "oof" / "narrow" / "model.safetensors").write_bytes(b"weights" * 1000)
    (roots["run"] / "oof" / "narrow" / "report.json").write_text("{}")
    (roots["run"] / "oof" / "narrow" / ".half.tmp").write_text("half")
    (roots["run"] / "folds.parquet").write_bytes(b"folds")
    return roots


@pytest.fixture
def there(tmp_path: Path) -> dict[str, Path]:
    return {"run": tmp_path / "there" / "run", "cache": tmp_path / "there" / "cache"}


@pytest.fixture(params=["file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"file://{tmp_path / 'store'}" if request.param == "file" else f"memory://{uuid.uuid4().hex}"


def test_files_arrive_as_they_were(here: dict[str, Path], there: dict[str, Path], url: str):
    files = SharedStore(url).put(here, ["run/oof/narrow", "run/folds.parquet", "run/nothing-there"])
    assert set(files) == {"run/oof/narrow/model.safetensors", "run/oof/narrow/report.json", "run/folds.parquet"}
    SharedStore(url).get(there, files)
    for name, checksum in files.items():
        assert sha256_of(place(there, name)) == checksum == sha256_of(place(here, name))


def test_what_is_there_is_not_sent_again(here: dict[str, Path], tmp_path: Path):
    url = f"file://{tmp_path / 'store'}"
    SharedStore(url).put(here, ["run/oof"])
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*") if path.is_file()}
    SharedStore(url).put(here, ["run/oof"])
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_changed_file_is_fetched_again(here: dict[str, Path], there: dict[str, Path], url: str):
    store = SharedStore(url)
    store.get(there, store.put(here, ["run/folds.parquet"]))
    (there["run"] / "folds.parquet").write_bytes(b"other")
    store.get(there, store.put(here, ["run/folds.parquet"]))
    assert (there["run"] / "folds.parquet").read_bytes() == b"folds"


def test_damage_in_the_store_is_noticed_and_nothing_is_kept(
    here: dict[str, Path], there: dict[str, Path], tmp_path: Path
):
    store = SharedStore(f"file://{tmp_path / 'store'}")
    files = store.put(here, ["run/folds.parquet"])
    next(path for path in (tmp_path / "store").rglob("*") if path.is_file()).write_bytes(b"fold5")
    with pytest.raises(DataError, match=r"run/folds\.parquet is damaged in the store"):
        store.get(there, files)
    assert not list(there["run"].iterdir())


def test_a_missing_file_is_named(there: dict[str, Path], url: str):
    with pytest.raises(DataError, match=r"run/folds\.parquet is missing in the store"):
        SharedStore(url).get(there, {"run/folds.parquet": "0" * 64})


def test_reports_come_last(here: dict[str, Path], there: dict[str, Path], url: str):
    store = SharedStore(url)
    files = store.put(here, ["run/oof"])
    broken = {**files, "run/oof/narrow/model.safetensors": "0" * 64}
    with pytest.raises(DataError):
        store.get(there, dict(sorted(broken.items(), reverse=True)))
    assert not (there["run"] / "oof" / "narrow" / "report.json").exists()


def test_a_name_cannot_lead_out_of_its_folder(here: dict[str, Path]):
    with pytest.raises(DataError, match="leads out of its folder"):
        place(here, "run/../../elsewhere")


def test_an_unknown_kind_of_store_is_refused():
    with pytest.raises(DataError, match="the store nonsense://x cannot be opened"):
        SharedStore("nonsense://x")


def test_a_checksum_follows_the_file(tmp_path: Path):
    path = tmp_path / "a"
    path.write_text("one")
    assert checksum_of(path) == sha256_of(path)
    path.write_text("three")
    assert checksum_of(path) == sha256_of(path)
