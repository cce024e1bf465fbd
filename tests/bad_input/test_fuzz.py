"""Every reader against damaged bytes: it reads them or refuses them, and never dies, hangs or takes all memory.

Inputs are sound files that hypothesis has damaged: bits flipped, pieces cut out, put in or doubled, counts and cells
replaced by hostile ones. They are read in a child process with a limit on memory; the parent waits TIMEOUT_SECONDS.
FUSIONNETX_FUZZ is the number of inputs for each reader (`make fuzz` raises it and draws new ones each time).
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from tests.bad_input.fuzz import LONG, Child, fuzz


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    child = Child()
    yield child
    if child.process is not None:
        child.close()


def test_metadata(child: Child, few: Path) -> None:
    table = (few / "train-metadata.csv").read_bytes()
    quoted = table.replace(b"FNQH Cairns", b'"FNQH\nCairns"')
    fuzz(child, "metadata", (table, quoted, table.replace(b"\n", b"\r\n")))


def test_recipe(child: Child, tiny_recipe: Path) -> None:
    from pipeline.recipe import load_recipe, recipe_text

    fuzz(child, "recipe", (tiny_recipe.read_bytes(), recipe_text(load_recipe("fusionnetx")).encode()))


def test_image(child: Child) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 31, 3), dtype=np.uint8))
    upright = Image.Exif()
    upright[0x0112] = 6
    forms: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("JPEG", "RGB", {}), ("JPEG", "RGB", {"progressive": True}), ("JPEG", "RGB", {"exif": upright}),
        ("JPEG", "L", {}), ("JPEG", "CMYK", {}), ("PNG", "RGB", {}), ("PNG", "P", {}), ("PNG", "RGBA", {}),
        ("PNG", "I;16", {}), ("BMP", "RGB", {}), ("BMP", "P", {}),
    )  # fmt: skip
    sounds = []
    for kind, mode, options in forms:
        out = io.BytesIO()
        picture.convert("I;16" if mode == "I;16" else mode).save(out, kind, **options)
        sounds.append(out.getvalue())
    fuzz(child, "image", tuple(sounds))


def test_hdf5(child: Child, tmp_path: Path) -> None:
    fuzz(child, "hdf5", (sound_hdf5(tmp_path, "earliest"), sound_hdf5(tmp_path, "latest")))


def sound_hdf5(folder: Path, version: str) -> bytes:
    """Images in every form that is read."""
    import h5py

    path = folder / f"{version}.hdf5"
    with h5py.File(path, "w", libver=version) as file:
        for i in range(6):
            file.create_dataset(f"ISIC_{i}", data=np.bytes_(b"\xff\xd8" + bytes(range(1, 200))))
        file.create_dataset("opaque", data=np.void(b"\xff\xd8" + bytes(50)))
        file.create_dataset("array", data=np.arange(100, dtype=np.uint8))
        file.create_dataset("gzip", data=np.arange(100, dtype=np.uint8), compression="gzip")
        file.create_dataset("text", data=b"variable", dtype=h5py.string_dtype())
    return path.read_bytes()


def test_zip(child: Child) -> None:
    sounds = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as archive:
            for i in range(6):
                archive.writestr(f"ISIC_2024_Training_Input/ISIC_{i}.jpg", b"\xff\xd8" + bytes(range(1, 200)))
            archive.writestr("ISIC_2024_Training_Input/metadata.csv", "isic_id\nISIC_1\n")
        sounds.append(out.getvalue())
    fuzz(child, "zip", tuple(sounds))


def test_folds(child: Child) -> None:
    table = pl.DataFrame({"isic_id": [f"ISIC_{i:03d}" for i in range(24)], "fold": [i // 2 % 3 for i in range(24)]})
    fuzz(child, "folds", parquet_forms(table))


def test_predictions(child: Child) -> None:
    table = pl.DataFrame(
        {
            "lesion_id": [f"ISIC_{i:03d}" for i in range(24)],
            "fold": [i % 3 for i in range(24)],
            "malignant": [i / 24 if i % 5 else None for i in range(24)],
        }
    )
    fuzz(child, "predictions", parquet_forms(table))


def parquet_forms(table: pl.DataFrame) -> tuple[bytes, ...]:
    forms = []
    for compression in ("zstd", "snappy", "uncompressed"):
        out = io.BytesIO()
        table.write_parquet(out, compression=compression)
        forms.append(out.getvalue())
    return tuple(forms)


def test_model(child: Child, tmp_path: Path) -> None:
    from image_models.networks.model_file import save_model
    from image_models.networks.zoo import build
    from image_models.recipe import ImageModelRecipe

    recipe = ImageModelRecipe(name="tiny", backbone="lesion_net", pretrained="none", image_size=32, hidden=4)
    path = tmp_path / "model.safetensors"
    save_model(path, build(recipe, 1, weights_dir=None).state_dict(), recipe, 1, {"seed": 1})
    fuzz(child, "model", (path.read_bytes(),))


@pytest.mark.parametrize("booster", ["lightgbm", "xgboost", "catboost"])
def test_member(child: Child, tmp_path: Path, booster: str) -> None:
    fuzz(child, f"member:{tmp_path}", (fitted(tmp_path, booster),), shown=booster)


def fitted(folder: Path, booster: str) -> bytes:
    """The model file of a small fitted member."""
    from data.matrix import Matrix
    from tabular.crossfit import fit_member
    from tabular.recipe import MemberRecipe, TabularRecipe

    rng = np.random.default_rng(0)
    target = np.arange(60) % 2
    names = ("a", "b", "c")
    matrix = Matrix((rng.random((60, 3)) + target[:, None] / 2).astype(np.float32), names, ("f",) * 3, (), ())
    parameters: Any = {"min_data_in_leaf": 5} if booster == "lightgbm" else {}
    member = MemberRecipe(name="m", booster=booster, iterations=3, parameters=parameters)  # type: ignore[arg-type]
    fit = fit_member(member, TabularRecipe(), matrix, target, np.arange(60), np.arange(60), seed=0, folder=folder)
    return (folder / fit.artefacts[0]).read_bytes()


@pytest.mark.skipif(not LONG, reason="says how often a bare library fails; FUSIONNETX_FUZZ=<inputs> asks for it")
@pytest.mark.parametrize("booster", ["lightgbm", "xgboost", "catboost"])
def test_what_the_checksum_before_a_booster_is_for(child: Child, tmp_path: Path, booster: str) -> None:
    fuzz(child, f"bare {booster}", (fitted(tmp_path, booster),), shown=f"{booster}, no checksum", most=500, wanted=None)


def test_bombs(child: Child, tmp_path: Path) -> None:
    """Four gigabytes out of four megabytes: refused before they are there, in a process that may not hold them."""
    import h5py

    block = zlib.compressobj()
    zeros = block.compress(bytes(2**26)) + block.flush(zlib.Z_FULL_FLUSH)
    path = tmp_path / "bomb.hdf5"
    with h5py.File(path, "w") as file:
        small = file.create_dataset("a", (100,), np.uint8, chunks=(100,), compression="gzip")
        small.id.write_direct_chunk((0,), zeros[:2] + 64 * zeros[2:])
    child.ask("hdf5", sound_hdf5(tmp_path, "latest"))
    assert child.ask("hdf5", path.read_bytes()) == (
        "refused",
        "file: a unpacks to more than the 100 bytes of its chunk",
    )

    sound = io.BytesIO()
    Image.new("RGB", (10, 10)).save(sound, "PNG")
    child.ask("image", sound.getvalue())
    for width, height in ((10_000, 10_000), (2**31 - 1, 2**31 - 1)):
        stated = struct.pack(">II", width, height)
        outcome, message = child.ask("image", sound.getvalue()[:16] + stated + sound.getvalue()[24:])
        assert outcome == "refused"
        assert "million are not decoded" in message
