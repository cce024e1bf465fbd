"""A bounded reader of UBJ, the binary JSON that XGBoost writes: as much of it as XGBoost uses, nothing else.

Nothing is allocated beyond what the file holds: an array of numbers is a view of the bytes, and lists and objects grow
with what has been read.
"""

import struct
from typing import Any

import numpy as np

MAX_DEPTH = 16
"""Of lists and objects in each other; XGBoost's models have ten."""
NUMBERS = {letter: struct.Struct(f">{form}") for letter, form in zip(b"iUIlLdD", "bBhiqfd", strict=True)}
KINDS = {letter: np.dtype(form.format) for letter, form in NUMBERS.items()}
"""Numbers by the letter before them, alone and in lists."""
CONSTANTS = {ord("Z"): None, ord("T"): True, ord("F"): False}
LENGTH = struct.Struct(">Bq")
LIST, OBJECT, OBJECT_END, TEXT, OF_KIND, COUNT = b"[{}S$#"


def read_ubj(whole: bytes) -> Any:
    """What a file holds, as dictionaries, lists, texts, numbers and arrays; ValueError when it is not whole."""
    try:
        value, end = read(whole, 1, whole[0], 0)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise ValueError("it ends in the middle of a value") from error
    if end != len(whole):
        raise ValueError("something follows its end")
    return value


def read(whole: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    """The value whose letter stands before `at`, and where it ends."""
    if kind == TEXT:
        return text(whole, at)
    if kind in NUMBERS:
        form = NUMBERS[kind]
        return form.unpack_from(whole, at)[0], at + form.size
    if depth == MAX_DEPTH:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH}")
    if kind == OBJECT:
        found: dict[str, Any] = {}
        while whole[at] != OBJECT_END:
            key, at = text(whole, at)
            if key in found:
                raise ValueError(f"{key[:40]} is there twice")
            found[key], at = read(whole, at + 1, whole[at], depth + 1)
        return found, at + 1
    if kind == LIST:
        return listed(whole, at, depth)
    if kind in CONSTANTS:
        return CONSTANTS[kind], at
    raise ValueError(f"byte {at - 1} begins no value")


def listed(whole: bytes, at: int, depth: int) -> tuple[Any, int]:
    """A list with its length: of one kind of number, or of any values."""
    if whole[at] == OF_KIND:
        kind = KINDS.get(whole[at + 1])
        if kind is None or whole[at + 2] != COUNT:
            raise ValueError(f"the list at byte {at} is of another kind")
        count, at = counted(whole, at + 3)
        if count * kind.itemsize > len(whole) - at:
            raise ValueError("a list is longer than the file")
        return np.frombuffer(whole, kind, count, at), at + count * kind.itemsize
    if whole[at] != COUNT:
        raise ValueError(f"the list at byte {at} does not say how long it is")
    values: list[Any] = []
    count, at = counted(whole, at + 1)
    while len(values) < count:
        value, at = read(whole, at + 1, whole[at], depth + 1)
        values.append(value)
    return values, at


def text(whole: bytes, at: int) -> tuple[str, int]:
    """A text with its length before it."""
    size, at = counted(whole, at)
    if size > len(whole) - at:
        raise ValueError("a text is longer than the file")
    return whole[at : at + size].decode(), at + size


def counted(whole: bytes, at: int) -> tuple[int, int]:
    """A length, which XGBoost writes as a 64-bit number."""
    letter, count = LENGTH.unpack_from(whole, at)
    if letter != ord("L") or count < 0:
        raise ValueError(f"byte {at} begins no length")
    return count, at + LENGTH.size
