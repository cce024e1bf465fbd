"""The form of a table as people save it: what a recipe may say of it, and what was found where it says nothing."""

from dataclasses import dataclass
from typing import Literal

Separator = Literal["", ",", ";", "\t", "|"]
Decimal = Literal["", ".", ","]
Encoding = Literal["", "utf-8", "utf-16", "cp1252", "latin-1", "mac_roman", "cp850"]

SEPARATORS: dict[str, str] = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
"""What parts the cells of a text table, with its name."""
DECIMALS: dict[str, str] = {".": "decimal point", ",": "decimal comma"}
ENCODINGS: dict[str, str] = {
    "utf-8": "UTF-8",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "cp1252": "Latin-1",
    "latin-1": "Latin-1",
    "mac_roman": "Mac Roman",
    "cp850": "DOS code page 850",
}


@dataclass(frozen=True)
class TableForm:
    """What a recipe says of a table's form; an empty word leaves it to be found out."""

    separator: Separator = ""
    decimal: Decimal = ""
    encoding: Encoding = ""
    sheet: str = ""
    """Of a workbook; the first when left out."""
    missing: tuple[str, ...] = ()
    """Spellings of a missing value beside the usual ones."""
    numbers: tuple[str, ...] = ()
    """Columns that hold numbers, whatever this one table has in them."""
    texts: tuple[str, ...] = ()
    """Columns that hold names or categories, however much they look like numbers."""


FOUND_OUT = TableForm()
"""Nothing is said: all of it is found out."""


@dataclass(frozen=True)
class Understood:
    """How a table was read."""

    kind: str
    """`semicolons`, `workbook, sheet Tabelle1`, `parquet`."""
    encoding: str = "utf-8"
    """Of a text; others have none that matters."""
    sample: str = ""
    """A word with letters beyond ASCII, by which a person can tell that the encoding is right."""
    decimals: tuple[str, ...] = ()
    """Marks that stand in numbers of the table."""
    example: str = ""
    """A number as it stands there, and what it was read as."""

    @property
    def plain(self) -> bool:
        """Whether there was nothing to find out: commas, points, UTF-8."""
        return self.kind == "commas" and self.encoding == "utf-8" and self.decimals in ((), (".",))

    def __str__(self) -> str:
        marks = " and ".join(DECIMALS[mark] for mark in self.decimals) or "no decimals"
        read = f" ({self.example})" if self.example else ""
        text = f", {ENCODINGS[self.encoding]}" if self.encoding else ""
        seen = f" (as in {self.sample})" if self.sample else ""
        return f"{self.kind}, {marks}{read}{text}{seen}"
