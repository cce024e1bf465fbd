"""The layout of a parquet file, walked before anything is decoded: pages that state impossible counts or sizes.

Polars sets memory aside for whatever a page's header states; a damaged count makes it ask for 2**61 bytes, which ends
the process instead of raising. So the headers of all pages (Apache Thrift's compact protocol, a few bytes each) are
compared with the footer and the file's length first. The pages' content is left to polars.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, overload

MAGIC = b"PAR1"
DEEPEST = 16
"""Structures within structures; parquet's own need six."""
FREE_BYTES, BYTES_PER_BYTE = 2**29, 256
"""A file may unpack to half a gigabyte, or to this many times its length."""
FREE_CELLS, CELLS_PER_BYTE = 2**26, 64
"""Probabilities take a byte or more each in the file; a column of one value takes nothing for millions of rows."""

Struct = dict[int, Any]


class FileBytes:
    """Bytes of a file that is not read whole; some at a time are at hand."""

    WINDOW = 2**16

    def __init__(self, handle: BinaryIO, size: int) -> None:
        self.handle, self.size = handle, size
        self.first, self.window = 0, b""

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, at: int) -> int: ...
    @overload
    def __getitem__(self, at: slice) -> bytes: ...
    def __getitem__(self, at: int | slice) -> int | bytes:
        if isinstance(at, slice):
            first, end, _ = at.indices(self.size)
            return self.read(first, end - first)
        if not self.first <= at < self.first + len(self.window):
            self.first, self.window = at, self.read(at, self.WINDOW)
        return self.window[at - self.first]

    def read(self, first: int, length: int) -> bytes:
        """So many bytes from a place on; ValueError where there are no such."""
        self.handle.seek(first)
        found = self.handle.read(length)
        if len(found) < min(length, self.size - first):
            raise ValueError("it has become shorter")
        return found


Raw = bytes | FileBytes


def refuse_impossible(raw: Raw) -> None:
    """ValueError when the file is cut short, its pages contradict its footer, or it would unpack beyond all measure."""
    if len(raw) < 12 or raw[:4] != MAGIC or raw[-4:] != MAGIC:
        raise ValueError("it does not begin and end as one")
    start = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    if start < 4:
        raise ValueError("its footer is longer than the file")
    footer, _ = ThriftBytes(raw, len(raw) - 8).struct(start, DEEPEST)
    groups = structs(footer, 4)
    rows, columns = sum(number(group, 3) for group in groups), 0
    if rows != number(footer, 3):
        raise ValueError(f"its parts hold {rows:,} of {number(footer, 3):,} rows")
    unpacked = 0
    for group in groups:
        chunks = [chunk.get(3) for chunk in structs(group, 1)]
        columns = max(columns, len(chunks))
        if rows * columns > max(FREE_CELLS, CELLS_PER_BYTE * len(raw)):
            raise ValueError(f"it states {rows:,} rows x {columns} columns in {len(raw):,} bytes")
        for chunk in chunks:
            unpacked += checked_pages(raw, start, chunk)
    if unpacked > max(FREE_BYTES, BYTES_PER_BYTE * len(raw)):
        raise ValueError(f"it states {unpacked:,} bytes when unpacked, and has {len(raw):,}")


def checked_pages(raw: Raw, end_of_data: int, chunk: Any) -> int:
    """Bytes that the pages of one column come to when unpacked; ValueError when they do not fit the footer."""
    if not isinstance(chunk, dict):
        raise ValueError("a column is not described")
    values, length, first = number(chunk, 5), number(chunk, 7), number(chunk, 9)
    # Some writers state a dictionary at 0 where there is none.
    at = min(first, number(chunk, 11, first) or first)
    if not 4 <= at <= at + length <= end_of_data:
        raise ValueError("a column lies outside the data")
    found = unpacked = 0
    for page in pages(raw, at, at + length):
        counted = number(page.header, 1)
        if page.of_data:
            found += counted
        elif counted > page.unpacked:
            raise ValueError(f"a page states {counted:,} values in {page.unpacked:,} bytes")
        unpacked += page.unpacked
    if found != values:
        raise ValueError(f"the pages of a column hold {found:,} of {values:,} values")
    return unpacked


@dataclass(frozen=True)
class Page:
    """What matters of a page's header."""

    header: Struct
    """Of its kind; field 1 is the number of values."""
    of_data: bool
    unpacked: int


def pages(raw: Raw, at: int, end: int) -> Iterator[Page]:
    """The pages between two places."""
    reader = ThriftBytes(raw, end)
    while at < end:
        header, at = reader.struct(at, DEEPEST)
        at += number(header, 3)
        if at > end:
            raise ValueError("a page reaches beyond its column")
        data = header.get(5, header.get(8))
        known = data if data is not None else header.get(7, {1: 0})
        if not isinstance(known, dict) or any(isinstance(value, int) and value < 0 for value in known.values()):
            raise ValueError("a page is not described, or by numbers below 0")
        yield Page(known, data is not None, number(header, 2))


def number(struct: Struct, field: int, default: int = -1) -> int:
    """A whole number from 0 on; ValueError when it is missing (without a default) or anything else."""
    value = struct.get(field, default)
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"field {field} of its layout is {value!r}")
    return int(value)


def structs(struct: Struct, field: int) -> list[Struct]:
    """A list of structures."""
    value = struct.get(field)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ValueError(f"field {field} of its layout is no list")
    return value


class ThriftBytes:
    """Thrift's compact protocol, only as much as numbers, texts, lists and structures take."""

    def __init__(self, raw: Raw, end: int) -> None:
        self.raw = raw
        self.end = end

    def byte(self, at: int) -> int:
        """One byte before the end."""
        if not 0 <= at < self.end:
            raise ValueError("its layout breaks off")
        return self.raw[at]

    def varint(self, at: int) -> tuple[int, int]:
        """A number of seven bits to the byte, and where it ends."""
        value = shift = 0
        while shift < 70:
            byte = self.byte(at)
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value, at
        raise ValueError("a number in its layout is too long")

    def struct(self, at: int, depth: int) -> tuple[Struct, int]:
        """Fields by number, and where the structure ends."""
        found: Struct = {}
        field = 0
        while head := self.byte(at):
            at += 1
            if head >> 4:
                field += head >> 4
            else:
                zigzag, at = self.varint(at)
                field = (zigzag >> 1) ^ -(zigzag & 1)
            # A boolean field is its own value; in a list it takes a byte.
            found[field], at = (head & 15 == 1, at) if head & 15 in {1, 2} else self.value(head & 15, at, depth)
        return found, at + 1

    def value(self, kind: int, at: int, depth: int) -> tuple[Any, int]:
        """One value of a kind of the protocol, and where it ends."""
        if depth == 0:
            raise ValueError("its layout is nested too deep")
        if kind in {1, 2, 3}:
            return self.byte(at), at + 1
        if kind in {4, 5, 6}:
            zigzag, at = self.varint(at)
            return (zigzag >> 1) ^ -(zigzag & 1), at
        if kind == 7:
            return None, at + 8
        if kind == 8:
            length, at = self.varint(at)
            return None, at + length
        if kind in {9, 10}:
            return self.list(at, depth)
        if kind == 12:
            return self.struct(at, depth - 1)
        raise ValueError(f"its layout holds something of kind {kind}")

    def list(self, at: int, depth: int) -> tuple[list[Any], int]:
        """A list of one kind."""
        head = self.byte(at)
        at += 1
        count, kind = head >> 4, head & 15
        if count == 15:
            count, at = self.varint(at)
        if count > self.end - at:
            raise ValueError("a list in its layout is longer than the file")
        items = []
        for _ in range(count):
            item, at = self.value(kind, at, depth - 1)
            items.append(item)
        return items, at
