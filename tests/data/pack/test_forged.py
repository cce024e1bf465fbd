"""Packs whose headers state what no file holds: damaged, and made again, whatever they ask for."""

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from data.errors import DataError
from data.images.pack import ImagePack
from data.images.pack_build import build_pack
from data.images.sources import Hdf5Images
from tests.data.pack.shared import SIZE, ids_of

SHAPES = ("(9223372036854775807,)", "(1152921504606846976, 32, 32, 3)", "(-1,)", "()", "(1," * 500 + ")" * 500)
KINDS = ("'|u1'", "'|O'", "'<U2000000000'")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["images.npy", "ids.npy", "present.npy"])
def test_impossible_headers_are_damage(source: Hdf5Images, tmp_path: Path, name: str) -> None:
    whole = build_pack(source, ids_of(source), tmp_path / "whole", size=SIZE, max_missing_share=0.5).folder
    for shape in SHAPES:
        for kind in KINDS:
            folder = shutil.copytree(whole, tmp_path / "forged")
            header = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}".encode()
            (folder / name).write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
            for verify in (True, False):
                with pytest.raises(DataError):
                    ImagePack.open(folder, verify=verify)
            shutil.rmtree(folder)
    assert np.array_equal(ImagePack.open(whole).ids, ids_of(source))
