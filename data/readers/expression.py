"""Gene expression beside clinical tables: cBioPortal's genes x samples, of which a panel is read.

`data_mrna_seq_v2_rsem.txt` has a row for each of some 20,000 genes and a column for each sample. It is read line by
line, and of the genes the panel alone is kept, as log2(x + 1), under `RNA_<gene>`.
"""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from data.errors import DataError, examples
from data.tables.schema import Column

EXPRESSION = "data_mrna_seq_v2_rsem.txt"
PANEL_FILE = "genes.txt"
"""A gene a line, beside it; in place of the panel below."""
PREFIX = "RNA_"
PANEL = ("MITF", "TYR", "PMEL", "MLANA", "SOX10", "DCT", "AXL", "NGFR", "WNT5A", "ZEB1", "ZEB2", "CDKN2A", "PTEN",
         "BRAF", "NRAS", "KIT", "MYC", "CCND1", "MKI67", "VEGFA")  # fmt: skip
"""Genes of the melanocyte and of its dedifferentiation, growth and spread. None of the skin's or the lymph node's own:
these say what tissue lies around the specimen, which is where it was taken from."""
FIRST = ("Hugo_Symbol", "Entrez_Gene_Id")
MOST_LINE_BYTES = 2**22


def panel_of(folder: Path) -> tuple[str, ...]:
    """The genes to read."""
    path = folder / PANEL_FILE
    if not path.is_file():
        return PANEL
    genes = tuple(dict.fromkeys(path.read_text(encoding="utf-8").split()))
    if not genes:
        raise DataError(f"{path} names no gene: write one a line, or remove the file")
    return genes


def schema_of(names: Sequence[str]) -> tuple[Column, ...]:
    """The columns of a panel that a table has, as numbers."""
    return tuple(Column(name, "number", "log2(x + 1)", 0, 64) for name in names if name.startswith(PREFIX))


def read_expression(path: Path, genes: Sequence[str]) -> tuple[pl.DataFrame, str]:
    """A row for each sample with its genes, and a checksum of what was read; DataError for what is no such table."""
    found: dict[str, list[float | None]] = {}
    wanted, digest = set(genes), hashlib.sha256()
    with path.open("rb") as handle:
        samples: list[str] = []
        line_number = 0
        while line := handle.readline(MOST_LINE_BYTES):
            line_number += 1
            gene, _, rest = line.partition(b"\t")
            if not line.strip() or line.startswith(b"#"):
                continue
            if not samples:
                header = line.decode("utf-8", errors="replace").rstrip("\r\n").split("\t")
                known = sum(name in FIRST for name in header)
                samples = header[known:]
                if not known or header[0] != FIRST[0] or not samples or len(set(samples)) < len(samples):
                    raise DataError(
                        f"{path}: line {line_number} should be {FIRST[0]}, {FIRST[1]} and a column for each sample, "
                        "each once"
                    )
                digest.update(line)
                continue
            symbol = gene.decode("utf-8", errors="replace")
            if symbol not in wanted or symbol in found:
                continue
            digest.update(line)
            cells = rest.decode("utf-8", errors="replace").rstrip("\r\n").split("\t")[known - 1 :]
            if len(cells) != len(samples):
                raise DataError(f"{path}: line {line_number}: {len(cells)} values for {len(samples)} samples")
            found[symbol] = [level(cell, path, line_number) for cell in cells]
    absent = [gene for gene in genes if gene not in found]
    if absent:
        raise DataError(f"{path} has no gene {examples(absent)}: name others in {PANEL_FILE} beside it, one a line")
    columns = {f"{PREFIX}{gene}": pl.Series(found[gene], dtype=pl.Float64) for gene in genes}
    return pl.DataFrame({"SAMPLE_ID": samples, **columns}), digest.hexdigest()


def level(cell: str, path: Path, line: int) -> float | None:
    """log2(x + 1) of one cell; None where it has no value."""
    if cell.strip() in ("", "NA", "NaN", "null"):
        return None
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1e12:
        raise DataError(f"{path}: line {line}: {cell[:30]!r} is no level of expression (a number from 0)")
    return math.log2(value + 1)
