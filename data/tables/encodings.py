"""The bytes of a text table as UTF-8, whatever they were saved as.

A text that decodes as UTF-8 is UTF-8: hardly any other one does. What does not is taken for Latin-1 in Windows' form,
which nearly all others are; a word with such letters is shown, so that a person can tell.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from data.errors import DataError

SAMPLED_BYTES = 2**16


def as_utf8(raw: bytes, path: Path, encoding: str = "") -> tuple[bytes, str]:
    """The text in UTF-8 without a byte-order mark, and the encoding that it had; DataError when another was named."""
    name = encoding or found_encoding([raw])
    if name == "utf-8":
        return raw.removeprefix(b"\xef\xbb\xbf"), name
    try:
        return raw.decode(name).removeprefix("\ufeff").encode(), name
    except UnicodeError as error:
        raise DataError(
            f"{path} cannot be read as {name} ({error}). Save it as UTF-8, or name its encoding."
        ) from error


def found_encoding(parts: Iterable[bytes]) -> str:
    """The encoding that the bytes, cut at ends of lines, speak for."""
    possible = ["utf-8", "cp1252", "latin-1"]
    for number, raw in enumerate(parts):
        if not number and (wide := two_byte_encoding(raw)):
            return wide
        possible = [name for name in possible if decodes(raw, name)]
    return possible[0]


def decodes(raw: bytes, name: str) -> bool:
    """Whether the bytes are text of an encoding; any are of Latin-1."""
    try:
        raw.decode(name)
    except UnicodeDecodeError:
        return False
    return True


def two_byte_encoding(raw: bytes) -> str:
    """UTF-16 of either kind, where the first bytes tell; else empty."""
    if raw[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return "utf-16"
    head = raw[:SAMPLED_BYTES]
    # Every second byte of a text in Latin letters is zero there, and none in any other encoding.
    for name, zeros, letters in (("utf-16-le", head[1::2], head[::2]), ("utf-16-be", head[::2], head[1::2])):
        if len(head) > 3 and zeros.count(0) > 0.9 * len(zeros) and letters.count(0) == 0:
            return name
    return ""


def telling_word(text: bytes) -> str:
    """The first word of a UTF-8 text with a letter beyond ASCII; empty when there is none."""
    found = re.search(r"[\w-]*[^\W\x00-\x7f][\w-]*", text[:SAMPLED_BYTES].decode(errors="ignore"))
    return found[0][:40] if found else ""
