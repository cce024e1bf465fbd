"""What a run says of itself in its folder, and what becomes of it without that or with a damaged one."""

import json
import shutil
from pathlib import Path

import pytest

from data.errors import DataError
from data.files import read_json
from pipeline.recipe import load_recipe
from pipeline.run import FILE, FORMAT, RECIPE_FILE, Run
from tests.real_data import unmarked


@pytest.fixture
def recorded(tiny_recipe: Path, tmp_path: Path) -> Run:
    """A run on synthetic data that has said what it is."""
    run = Run.of(load_recipe(str(tiny_recipe), ["seed=99"]), tmp_path / "run")
    run.record()
    return run


def test_the_recipe_that_is_kept_is_the_one_that_ran(recorded: Run):
    assert load_recipe(str(recorded.folder / RECIPE_FILE)) == recorded.recipe
    assert recorded.is_recorded
    assert Run.open(recorded.folder) == recorded


def test_what_run_json_holds(recorded: Run, cohort_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert read_json(recorded.folder / FILE) == {
        "format": FORMAT, "reader": "isic2024", "data": None, "invented": True,
    }  # fmt: skip
    unmarked(cohort_dir, tmp_path / "real")
    monkeypatch.chdir(tmp_path)
    # A relative path would lead elsewhere from another folder.
    Run.of(recorded.recipe, tmp_path / "other", Path("real")).record()
    assert read_json(tmp_path / "other" / FILE) == {
        "format": FORMAT, "reader": "isic2024", "data": str((tmp_path / "real").resolve()), "invented": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"[]", b"[" * 100_000, b"\xff\xfe", b"{}", b'{"invented": 1}', b'{"invented": true, "data": 7}'],
)
def test_a_damaged_record_is_one_message_that_names_it(recorded: Run, damage: bytes):
    (recorded.folder / FILE).write_bytes(damage)
    with pytest.raises(DataError) as caught:
        Run.open(recorded.folder)
    message = str(caught.value)
    assert str(recorded.folder / FILE) in message
    assert "is damaged" in message
    assert "run the command that made the run again" in message
    assert len(message.splitlines()) == 1
    assert len(message) < 400


@pytest.mark.parametrize("synthetic", [True, False])
def test_a_run_from_before_there_was_a_record_says_in_its_submission_what_it_was(recorded: Run, synthetic: bool):
    (recorded.folder / FILE).unlink()
    (recorded.folder / "submission.json").write_text(json.dumps({"settings": {"synthetic": synthetic}}))
    assert Run.open(recorded.folder).invented is synthetic
    assert Run.open(recorded.folder).data_dir is None


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"settings": 3}'])
def test_an_older_run_without_a_word_of_its_data_counts_as_invented(recorded: Run, content: str | None):
    """Nobody may take what it says of patients for more than it is."""
    (recorded.folder / FILE).unlink()
    if content is not None:
        (recorded.folder / "submission.json").write_text(content)
    assert Run.open(recorded.folder) == recorded


def test_whether_lesions_are_invented_is_a_fact_of_the_data(tiny_recipe: Path, cohort_dir: Path, tmp_path: Path):
    recipe = load_recipe(str(tiny_recipe))
    copied = shutil.copytree(cohort_dir, tmp_path / "copied")
    real = unmarked(cohort_dir, tmp_path / "real")
    assert Run.of(recipe, tmp_path / "run").invented
    assert Run.of(recipe, tmp_path / "run", copied).invented
    assert not Run.of(recipe, tmp_path / "run", real).invented


def test_a_variant_keeps_what_is_not_given(recorded: Run, cohort_dir: Path, tmp_path: Path):
    real = unmarked(cohort_dir, tmp_path / "real")
    moved = recorded.derive(data_dir=real)
    assert (moved.data_dir, moved.invented) == (real, False)
    assert (moved.recipe, moved.folder) == (recorded.recipe, recorded.folder)
    variant = moved.derive(recipe=load_recipe("demo"), folder=tmp_path / "variant")
    assert (variant.data_dir, variant.invented) == (real, False)
    assert variant.recipe == load_recipe("demo")
    assert recorded == Run.open(recorded.folder)


def test_data_that_the_run_folder_keeps_are_found_wherever_it_is_moved(recorded: Run, cohort_dir: Path, tmp_path: Path):
    unmarked(cohort_dir, recorded.folder / "data")
    recorded.derive(data_dir=recorded.folder / "data").record()
    moved = shutil.move(recorded.folder, tmp_path / "elsewhere")
    assert Run.open(Path(moved)).data_dir == tmp_path / "elsewhere" / "data"


def test_a_folder_without_a_recipe_is_no_run(tmp_path: Path):
    with pytest.raises(DataError, match=r"is not a run folder: it has no recipe\.toml"):
        Run.open(tmp_path)


def test_a_run_never_changes(recorded: Run):
    with pytest.raises(AttributeError):
        recorded.invented = False  # type: ignore[misc]
