"""Text as a terminal, a page or a sheet may show it: ids, names of files and what a caller gave may hold anything."""

from data.secrets import masked

CONTROLS = {code: "\ufffd" for code in (*range(32), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}
"""Terminal codes."""
DIRECTIONS = dict.fromkeys((1564, 8206, 8207, *range(8234, 8239), *range(8294, 8298)), "�")
"""Marks that nobody sees and that turn the words behind them around."""


def printable(text: str) -> str:
    """A message without terminal codes and marks of direction, and without passwords.

    Bytes of a path that are no text are shown as what they are: unknown.
    """
    return storable(text.translate(DIRECTIONS))


def storable(text: str) -> str:
    """The same for a cell that is read again: only what no sheet can hold is taken out."""
    return masked(text.translate(CONTROLS)).encode("utf-8", "replace").decode()
