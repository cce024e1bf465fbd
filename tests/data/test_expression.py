"""A table of genes x samples beside the clinical tables: the panel is read, joined by sample, and damage is named."""

from pathlib import Path

import numpy as np
import pytest

from data.errors import DataError
from data.progress import silent
from data.readers.expression import EXPRESSION, PANEL, PANEL_FILE, read_expression
from data.readers.tcga_skcm import read, read_test, write_twin
from data.synthetic.recipe import TwinRecipe


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The twin, with levels that are known: gene i of sample j has i * 100 + j; the last sample is not in the file."""
    made = tmp_path / "study"
    made.mkdir()
    write_twin(made, TwinRecipe(lesions=100), silent)
    samples = sorted(read(made).train.ids.tolist())[:-1]
    lines = ["\t".join(["Hugo_Symbol", "Entrez_Gene_Id", *samples])]
    for i, gene in enumerate(["KRT14", *PANEL, "MITF"]):
        cells = ["NA" if (i, j) == (1, 0) else str(100.0 * i + j) for j in range(len(samples))]
        lines.append("\t".join([gene, str(i), *cells]))
    (made / EXPRESSION).write_text("\n".join(lines) + "\n")
    return made


def test_the_panel_is_joined_by_sample(folder: Path) -> None:
    data = read(folder)
    table = data.train.table.sort("SAMPLE_ID")
    assert [name for name in table.columns if name.startswith("RNA_")] == [f"RNA_{gene}" for gene in PANEL]
    expected = np.log2(100.0 * 2 + np.arange(99) + 1)
    np.testing.assert_allclose(table["RNA_TYR"][:99].to_numpy(), expected)
    assert table["RNA_TYR"][99] is None
    assert table["RNA_MITF"][0] is None
    assert any("1 of 100 samples have no column" in note for note in data.notes)


def test_another_panel_is_named_in_a_file_and_changes_the_fingerprint(folder: Path) -> None:
    before = read(folder).train.fingerprint
    (folder / PANEL_FILE).write_text("KRT14\nMITF\n")
    train = read(folder).train
    assert [name for name in train.table.columns if name.startswith("RNA_")] == ["RNA_KRT14", "RNA_MITF"]
    assert train.fingerprint != before
    (folder / PANEL_FILE).write_text("KRT14\nNOGENE\n")
    with pytest.raises(DataError, match="has no gene NOGENE"):
        read(folder)


def test_new_samples_bring_their_levels_in_one_table(folder: Path, tmp_path: Path) -> None:
    train = read(folder).train
    path = tmp_path / "new.csv"
    train.table.drop("SAMPLE_TYPE", "target").head(5).write_csv(path)
    cohort, _, _ = read_test(path, None)
    np.testing.assert_allclose(cohort.table["RNA_TYR"].to_numpy(), train.table["RNA_TYR"][:5].to_numpy())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Hugo_Symbol", "Symbol", "line 1 should be Hugo_Symbol"),
        ("\t201.0\t", "\thigh\t", "line 4: 'high' is no level of expression"),
        ("\t201.0\t", "\t-3\t", "'-3' is no level"),
        ("\t201.0\t", "\t", "98 values for 99 samples"),
    ],
)
def test_what_is_no_such_table_is_named(folder: Path, old: str, new: str, message: str) -> None:
    path = folder / EXPRESSION
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        read(folder)
    with pytest.raises(DataError, match=message):
        read_expression(path, PANEL)
