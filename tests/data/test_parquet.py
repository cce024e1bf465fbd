from pathlib import Path

import polars as pl
import pytest

from data.errors import DataError
from data.tables import parquet_layout
from data.tables.parquet import read_parquet


def test_a_table_and_its_metadata_come_back(tmp_path: Path):
    table = pl.DataFrame({"a": [1, 2], "b": ["x", None]})
    table.write_parquet(tmp_path / "t.parquet", metadata={"k": "v"})
    found, metadata = read_parquet(tmp_path / "t.parquet", "Make it anew.")
    assert found.equals(table)
    assert metadata["k"] == "v"


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"a,b\n1,2\n"])
def test_what_is_no_parquet_file_is_refused_with_the_remedy(tmp_path: Path, content: bytes):
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"t\.parquet is not a whole parquet file .* Make it anew\."):
        read_parquet(tmp_path / "t.parquet", "Make it anew.")


def test_an_absent_file_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"t\.parquet does not exist\. Make it anew\."):
        read_parquet(tmp_path / "t.parquet", "Make it anew.")


def test_cells_out_of_proportion_to_the_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parquet_layout, "FREE_CELLS", 1000)
    pl.select(a=pl.repeat(0, 200_000, dtype=pl.Int8)).write_parquet(tmp_path / "bomb.parquet")
    with pytest.raises(DataError, match="states 200,000 rows x 1 columns"):
        read_parquet(tmp_path / "bomb.parquet", "Make it anew.")
    pl.DataFrame({"a": pl.int_range(2000, eager=True).shuffle(1)}).write_parquet(tmp_path / "real.parquet")
    assert len(read_parquet(tmp_path / "real.parquet", "")[0]) == 2000
