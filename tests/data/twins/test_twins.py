"""The twins: the same files from the same recipe, and something in them to be learned."""

from pathlib import Path

import numpy as np
import pytest

from data.images.decode import pixels
from data.progress import silent
from data.readers import READERS
from data.readers.folder import FolderRecipe
from data.readers.paired import PairingRecipe
from data.recipe import DataRecipe, read_folder
from data.schemas import ham10000
from data.synthetic import ham10000 as ham_twin
from data.synthetic.isic2024.images import render
from data.synthetic.pictures import LOOKS, again, draw_looks
from data.synthetic.recipe import TwinRecipe
from data.synthetic.stand_in import stand_in

SMALL = TwinRecipe(lesions=40, image_side=33)

DATA_SETS = {
    "ham10000": DataRecipe(reader="ham10000", twin=SMALL),
    "ph2": DataRecipe(reader="ph2", twin=SMALL),
    "tcga_skcm": DataRecipe(reader="tcga_skcm", twin=SMALL),
    "folder": DataRecipe(
        reader="folder",
        folder=FolderRecipe(lesion="img_id", group="patient_id", target="diagnostic", positive=("BCC", "MEL", "SCC")),
        twin=SMALL,
    ),
    "milk10k": DataRecipe(reader="milk10k", twin=SMALL),
    "milk10k_clinical": DataRecipe(reader="milk10k_clinical", twin=SMALL),
    "milk10k_tables": DataRecipe(reader="milk10k_tables", twin=SMALL),
    "paired": DataRecipe(reader="paired", pairing=PairingRecipe(), twin=SMALL),
    "paired_isic2024": DataRecipe(
        reader="paired", pairing=PairingRecipe(lesions="isic2024", lesions_folder="isic"), twin=SMALL
    ),
}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_twin_is_made_once_and_its_reader_has_nothing_to_remark(name: str, tmp_path: Path) -> None:
    recipe = DATA_SETS[name]
    folder = stand_in(recipe, tmp_path)
    assert folder is not None
    data = read_folder(recipe, folder)
    about_training = [note for note in data.notes if not note.startswith("test-metadata.csv")]
    assert [note for note in about_training if "paired with" not in note] == []
    assert set(data.train.target) == set(range(len(data.train.task.classes)))
    if data.train_images is not None:
        assert set(data.train.ids) <= set(data.train_images.ids)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert stand_in(recipe, tmp_path) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize("name", ["ham10000", "ph2", "tcga_skcm", "folder", "milk10k"])
def test_the_seed_decides_every_byte(name: str, tmp_path: Path) -> None:
    recipe = DATA_SETS[name]
    one, two = stand_in(recipe, tmp_path / "one"), stand_in(recipe, tmp_path / "two")
    other = stand_in(recipe.model_copy(update={"twin": TwinRecipe(lesions=40, image_side=33, seed=1)}), tmp_path)
    assert one is not None
    assert two is not None
    assert other is not None
    # A workbook states when it was written.
    first, second = ({k: v for k, v in contents(f).items() if k[-4:] not in ("xlsx", "json")} for f in (one, two))
    assert first == second
    assert first != contents(other)


def test_without_a_recipe_there_is_nothing(tmp_path: Path) -> None:
    assert stand_in(DataRecipe(reader="ph2"), tmp_path) is None


def test_looks_tell_diagnoses_apart_and_images_of_a_lesion_are_alike() -> None:
    rng = np.random.default_rng(0)
    names = [name for name in ("nv", "vasc", "mel") for _ in range(30)]
    looks = draw_looks(names, 49, rng)

    def colour(look: np.void) -> np.ndarray:
        """How the lesion differs from the skin around, in RGB."""
        tile, inside = render(look)
        return np.asarray(tile[inside].mean(axis=0) - tile[~inside].mean(axis=0))

    seen = np.array([colour(look) for look in looks])
    once_more = np.array([colour(look) for look in again(looks, rng)])
    nv, vasc, mel = seen.reshape(3, 30, 3).mean(axis=1)
    assert vasc[0] - vasc[1] > nv[0] - nv[1] + 10  # redder
    assert mel.mean() < nv.mean() - 5  # darker
    within = np.linalg.norm(seen - once_more, axis=1).mean()
    between = np.linalg.norm(seen - np.roll(seen, 7, axis=0), axis=1).mean()
    assert within < 0.6 * between
    assert set(ham10000.DIAGNOSES) <= set(LOOKS)


def test_the_table_depends_on_the_diagnosis() -> None:
    rng = np.random.default_rng(3)
    diagnosis = ham_twin.draw_diagnoses(3000, rng)
    rows = ham_twin.draw_rows(diagnosis, rng)
    age = dict(rows.select("dx", "age").group_by("dx").mean().rows())
    assert age["nv"] + 10 < age["bcc"]
    assert set(rows.filter(rows["dx"].is_in(ham10000.MALIGNANT))["dx_type"]) == {"histo"}
    assert set(diagnosis) == set(ham10000.DIAGNOSES)


def test_several_images_show_one_lesion(tmp_path: Path) -> None:
    ham_twin.write(tmp_path, SMALL, silent)
    data = READERS["ham10000"].bind(None).read(tmp_path)
    assert len(set(data.train.groups)) == 40 < len(data.train.ids)
    assert data.train.table.group_by("lesion_id").n_unique()["dx"].max() == 1
    assert data.train_images is not None
    assert pixels(data.train_images.read(str(data.train.ids[0]))).shape == (33, 33, 3)
