"""Generated data say so, whatever folder they lie in; real data never do."""

import shutil
from pathlib import Path

import pytest

from data.recipe import DataRecipe, read_folder
from data.synthetic.isic2024.recipe import SyntheticRecipe
from data.synthetic.recipe import TwinRecipe
from data.synthetic.stand_in import is_invented, stand_in
from data.whole_folder import MANIFEST

GENERATED = {
    "the cohort": DataRecipe(synthetic=SyntheticRecipe(lesions=40, test_lesions=20)),
    "a twin with images": DataRecipe(reader="ham10000", twin=TwinRecipe(lesions=40, image_side=33)),
    "a twin of tables": DataRecipe(reader="tcga_skcm", twin=TwinRecipe(lesions=40)),
}


@pytest.mark.parametrize("name", GENERATED)
def test_generated_data_and_copies_of_them_are_invented(name: str, tmp_path: Path) -> None:
    recipe = GENERATED[name]
    made = stand_in(recipe, tmp_path / "cache")
    assert made is not None
    copy = tmp_path / "my own data"
    shutil.copytree(made, copy)
    assert is_invented(made)
    assert is_invented(copy)
    assert read_folder(recipe, copy).invented


@pytest.mark.parametrize("name", GENERATED)
def test_the_mark_is_no_part_of_the_data(name: str, tmp_path: Path) -> None:
    recipe = GENERATED[name]
    made = stand_in(recipe, tmp_path / "cache")
    assert made is not None
    bare = tmp_path / "bare"
    shutil.copytree(made, bare, ignore=shutil.ignore_patterns(MANIFEST))
    with_mark, without = read_folder(recipe, made), read_folder(recipe, bare)
    assert (with_mark.invented, without.invented) == (True, False)
    assert with_mark.train.fingerprint == without.train.fingerprint
    assert with_mark.train.table.equals(without.train.table)
    if with_mark.train_images is not None and without.train_images is not None:
        assert with_mark.train_images.fingerprint == without.train_images.fingerprint


@pytest.mark.parametrize(
    "manifest",
    [
        None,
        b"",
        b"\xff\xfe\x00",
        b"[1, 2]",
        b"[" * 100_000,
        b'{"files": {"train-metadata.csv": 3}, "downloaded": "2024-06-28"}',
    ],
)
def test_real_folders_are_not_invented_whatever_their_manifest(published: Path, manifest: bytes | None) -> None:
    if manifest is not None:
        (published / MANIFEST).write_bytes(manifest)
    assert not is_invented(published)
    assert not read_folder(DataRecipe(), published).invented


def test_nothing_is_invented_where_nothing_is(tmp_path: Path) -> None:
    assert not is_invented(tmp_path / "absent")
