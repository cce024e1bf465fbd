"""Every reader against damaged bytes: it reads them or refuses them, and never dies, hangs or takes all memory.

Inputs are sound files that hypothesis has damaged: bits flipped, pieces cut out, put in or doubled, counts and cells
replaced by hostile ones. They are read in a child process with a limit on memory; the parent waits TIMEOUT_SECONDS.
FUSIONNETX_FUZZ is the number of inputs for each reader (`make fuzz` raises it and draws new ones each time).
"""

import io
import json
import os
import select
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.bad_input.conftest import record_fuzz

LONG = "FUSIONNETX_FUZZ" in os.environ
INPUTS = int(os.environ.get("FUSIONNETX_FUZZ", "80"))
TIMEOUT_SECONDS = 20.0
ROOT = Path(__file__).parents[2]
SPECIAL = (0, 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
CELLS = (
    *(b"", b"nan", b"-inf", b"1e999", b"9" * 400, b'"', b'"a\nb"', b"\xff", b"\xef\xbb\xbf", b"\0", b",,,", b"\r"),
    *(b"\n\n", b"=1+1", b"1_000", b"0x10", b"[[" * 300, b"{" * 300, b"true", b"''", b'"""', b"\xed\xa0\x80", b"#"),
)


class Child:
    """The reading process, started again whenever an input ends it."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.sound: dict[str, bytes] = {}

    def ask(self, reader: str, data: bytes) -> tuple[str, str]:
        """`read`, `refused`, `escaped`, `died` or `hung`, and the message."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, Path(__file__).with_name("fuzz_child.py")],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env={**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
            if reader in self.sound:
                self._exchange(reader, self.sound[reader], 120.0)
        if reader not in self.sound:
            answer = self._exchange(reader, data, 120.0)
            assert answer[0] == "read", f"{reader} does not read a sound file: {answer}"
            self.sound[reader] = data
            return answer
        return self._exchange(reader, data, TIMEOUT_SECONDS)

    def _exchange(self, reader: str, data: bytes, seconds: float) -> tuple[str, str]:
        assert self.process is not None
        name = reader.encode()
        try:
            self.process.stdin.write(struct.pack(">HI", len(name), len(data)) + name + data)  # type: ignore[union-attr]
            self.process.stdin.flush()  # type: ignore[union-attr]
            if not select.select([self.process.stdout], [], [], seconds)[0]:
                return self._gone("hung")
            length = self.process.stdout.read(4)  # type: ignore[union-attr]
            if len(length) < 4:
                return self._gone("died")
            outcome, message = json.loads(self.process.stdout.read(struct.unpack(">I", length)[0]))  # type: ignore[union-attr]
        except BrokenPipeError:
            return self._gone("died")
        return outcome, message

    def _gone(self, how: str) -> tuple[str, str]:
        code = self.close()
        return how, f"exit code {code}"

    def close(self) -> int:
        """End the process and forget it."""
        assert self.process is not None
        process, self.process = self.process, None
        if process.poll() is None and process.stdin is not None:
            process.kill()
        process.communicate()
        return process.returncode


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    child = Child()
    yield child
    if child.process is not None:
        child.close()


@st.composite
def damaged(draw: st.DrawFn, sounds: tuple[bytes, ...]) -> bytes:
    """A sound file after one to six accidents."""
    data = bytearray(draw(st.sampled_from(sounds)))
    for _ in range(draw(st.integers(1, 6))):
        if not data:
            break
        at = draw(st.integers(0, len(data) - 1))
        # Headers and footers decide most: half of the accidents happen there.
        at = {0: at, 1: at, 2: at % 256, 3: len(data) - 1 - at % min(256, len(data))}[draw(st.integers(0, 3))]
        at = min(at, len(data) - 1)
        match draw(st.integers(0, 7)):
            case 0:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case 1:
                data[at] = draw(st.integers(0, 255))
            case 2:
                del data[at:]
            case 3:
                del data[at : at + draw(st.integers(1, 64))]
            case 4:
                data[at:at] = data[at : at + draw(st.integers(1, 256))]
            case 5:
                data[at:at] = draw(st.binary(min_size=1, max_size=16))
            case 6:
                width = draw(st.sampled_from([1, 2, 4, 8]))
                number = draw(st.sampled_from(SPECIAL)) % 2 ** (8 * width)
                data[at : at + width] = number.to_bytes(width, draw(st.sampled_from(["little", "big"])))
            case _:
                data = _in_place_of_a_word(data, at, draw(st.sampled_from(CELLS)))
    return bytes(data)


def _in_place_of_a_word(data: bytearray, at: int, word: bytes) -> bytearray:
    """Replace the run of text around a place: a cell of a CSV file, a value of a recipe, a name in a header."""
    stops = b',\n"= :{}[]'
    start, stop = at, at
    while start > 0 and data[start - 1] not in stops and at - start < 64:
        start -= 1
    while stop < len(data) and data[stop] not in stops and stop - at < 64:
        stop += 1
    return data[:start] + word + data[stop:]


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


def fuzz(
    child: Child,
    reader: str,
    sounds: tuple[bytes, ...],
    *,
    shown: str = "",
    most: int = INPUTS,
    wanted: Callable[[str], bool] | None = lambda outcome: outcome in {"read", "refused"},
) -> None:
    """Put damaged files before a reader and count what becomes of them; with `wanted`, anything else fails."""
    for sound in sounds:
        child.ask(reader, sound)
    counts: Counter[str] = Counter()
    began = time.monotonic()

    @settings(
        max_examples=min(most, INPUTS), deadline=None, derandomize=not LONG, database=None, print_blob=False,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(damaged(sounds))
    def one(data: bytes) -> None:
        outcome, message = child.ask(reader, data)
        counts[outcome] += 1
        assert wanted is None or wanted(outcome), f"{reader} {outcome}: {message}"

    try:
        one()
    finally:
        record_fuzz(shown or reader, counts, time.monotonic() - began)
    if wanted is not None:
        assert counts["refused"] > INPUTS // 20
