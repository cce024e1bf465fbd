"""Seeds from names: every job gets its own, whatever the order or machine it runs on."""

import hashlib


def derive(seed: int, *names: str | int) -> int:
    """A 31-bit seed from the run seed and the names of a job (model, fold)."""
    text = "/".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
