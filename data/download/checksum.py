"""Whether a fetched file is what the server has, by the tag that it states.

Amazon's S3 tags a file with its MD5, or, when it was sent there in pieces, with the MD5 of the pieces' MD5s and their
number. The size of the pieces is not stated, but programs use few sizes.
"""

import hashlib
import re
from pathlib import Path

MIB = 2**20
PIECES_MIB = (5, 6, 7, 8, 10, 15, 16, 20, 25, 32, 50, 64, 100, 128, 256, 512, 1024)
"""Sizes of pieces that programs send."""


def agrees(path: Path, tag: str) -> bool | None:
    """Whether the content has the tag; None when the tag does not tell."""
    whole = re.fullmatch(r'"([0-9a-f]{32})"', tag)
    if whole is not None:
        return md5_of(path) == whole[1]
    pieces = re.fullmatch(r'"([0-9a-f]{32})-(\d+)"', tag)
    if pieces is None:
        return None
    size, count = path.stat().st_size, int(pieces[2])
    fitting = [mib * MIB for mib in PIECES_MIB if -(-size // (mib * MIB)) == count]
    return True if any(md5_of_pieces(path, piece) == pieces[1] for piece in fitting) else None


def md5_of(path: Path) -> str:
    """MD5 of a file: a checksum against accidents, not against forgery."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def md5_of_pieces(path: Path, piece: int) -> str:
    """MD5 of the MD5s of pieces of that size."""
    every = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as handle:
        while data := handle.read(piece):
            every.update(hashlib.md5(data, usedforsecurity=False).digest())
    return every.hexdigest()
