import io
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.tables import parquet_layout
from data.tables.parquet_layout import DEEPEST, ThriftBytes, refuse_impossible


def written(table: pl.DataFrame, **options: Any) -> bytes:
    out = io.BytesIO()
    table.write_parquet(out, **options)
    return out.getvalue()


def small() -> pl.DataFrame:
    return pl.DataFrame({"lesion_id": [f"ISIC_{i:03d}" for i in range(24)], "fold": [i % 3 for i in range(24)]})


@settings(deadline=None, max_examples=40, database=None)
@given(
    rows=st.integers(0, 50),
    columns=st.integers(1, 20),
    compression=st.sampled_from(["zstd", "snappy", "lz4", "gzip", "uncompressed"]),
    group=st.integers(1, 60),
    nulls=st.booleans(),
)
def test_every_sound_file_passes(rows: int, columns: int, compression: str, group: int, nulls: bool):
    values = [None if nulls and i % 2 else i / 7 for i in range(rows)]
    table = pl.DataFrame({f"c{i}": pl.Series(values, dtype=pl.Float64) for i in range(columns)})
    refuse_impossible(written(table, compression=compression, row_group_size=group))


def test_kinds_of_columns_that_polars_writes_pass():
    table = pl.DataFrame(
        {
            "text": ["a", None, "b"],
            "list": [[1, 2], [], None],
            "struct": [{"x": 1}, {"x": None}, {"x": 3}],
            "yes": [True, None, False],
            "bytes": [b"a", b"", None],
            "nothing": [None, None, None],
        }
    ).with_columns(day=pl.date(2020, 1, 1), kind=pl.col("text").cast(pl.Categorical))
    refuse_impossible(written(table, statistics="full", metadata={"note": "x" * 1000}))


def test_a_page_with_a_negative_number_of_values_is_refused():
    """In polars 2.1 this very damage asks for 2**61 bytes and ends the process."""
    raw = bytearray(written(small(), compression="uncompressed", statistics=False))
    reader = ThriftBytes(bytes(raw), len(raw) - 8)
    start = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    footer, _ = reader.struct(start, DEEPEST)
    at = footer[4][0][1][1][3][9]  # the first data page of the column `fold`
    header, end = reader.struct(at, DEEPEST)
    assert header[5][1] == 24
    place = raw.index(b"\x15\x30", at, end)  # field 1: 24, in zigzag
    raw[place + 1] = 0x31
    with pytest.raises(ValueError, match="by numbers below 0"):
        refuse_impossible(bytes(raw))
    raw[place + 1] = 0x32
    with pytest.raises(ValueError, match="hold 25 of 24 values"):
        refuse_impossible(bytes(raw))


@pytest.mark.parametrize("length", range(0, 400, 7))
def test_no_cut_file_passes(length: int):
    raw = written(small())
    with pytest.raises(ValueError, match=r"."):
        refuse_impossible(raw[: min(length, len(raw) - 1)])


def test_a_footer_that_claims_more_than_there_is_is_refused():
    raw = written(small())
    for size in (2**31, len(raw), len(raw) - 11):
        with pytest.raises(ValueError, match=r"footer|layout"):
            refuse_impossible(raw[:-8] + size.to_bytes(4, "little") + raw[-4:])


def test_what_unpacks_beyond_all_measure_is_refused(monkeypatch: pytest.MonkeyPatch):
    raw = written(pl.select(a=pl.repeat("x" * 1000, 5000)), compression="zstd", statistics=False, use_pyarrow=False)
    refuse_impossible(raw)
    monkeypatch.setattr(parquet_layout, "FREE_BYTES", 100)
    monkeypatch.setattr(parquet_layout, "BYTES_PER_BYTE", 1)
    with pytest.raises(ValueError, match="bytes when unpacked"):
        refuse_impossible(raw)


@pytest.mark.parametrize(
    "layout",
    [
        b"\x1c" * 40 + b"\0" * 40,  # structures in structures
        b"\x19\xf5\xff\xff\xff\xff\x0f" + b"\0" * 8,  # a list of four thousand million numbers
        b"\x15" + b"\xff" * 12,  # a number without an end
        b"\x1d\0",  # a kind that there is not
        b"\x15",  # cut off
    ],
)
def test_hostile_layouts_are_refused(layout: bytes):
    with pytest.raises(ValueError, match="layout"):
        ThriftBytes(layout, len(layout)).struct(0, DEEPEST)
