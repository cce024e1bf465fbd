"""A table in a terminal of any width: figures are whole, no line is too long, spare columns go in an order."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from data.own.columns import ColumnLook
from pipeline.actions.columns_table import columns_table
from pipeline.display import Display
from pipeline.repeats import print_study
from pipeline.tables import print_table

AHEAD = {"mean": 0.0123, "low": -0.0021, "high": 0.0267, "p": 0.11, "distinguishable": False, "repeats_needed": 13}
ONE = {"mean": 0.1512, "between_splits": 0.0032, "between_seeds": 0.0012, "blend_ahead": AHEAD}
STUDY = {
    "score": "pauc", "splits": 3, "folds": 5, "training_seeds": 2, "words": {"groups": "lesions"}, "optimistic": None,
    "columns": {"a_network_with_a_long_name": ONE, "lightgbm_metadata": ONE, "blend": {**ONE, "blend_ahead": None}},
}  # fmt: skip
LOOKS = (
    ColumnLook("Aufnahme-Nr", "names", 0.0, 240, "Läsion_000"),
    ColumnLook("Lokalisation (Kürzel der Klinik)", "category", 0.012, 40, "linker Oberschenkel, medial"),
)


def shown(width: int, *, terminal: bool = True) -> tuple[str, str]:
    """The table of repeats, and that of columns."""
    parts = []
    for what in ("repeats", "columns"):
        page = io.StringIO()
        display = Display(Console(file=page, force_terminal=terminal, width=width, color_system=None))
        if what == "repeats":
            print_study(display, STUDY)
        else:
            display.table(*columns_table(LOOKS, {"Aufnahme-Nr": "row"}))
        parts.append(page.getvalue())
    return parts[0], parts[1]


@pytest.mark.parametrize("width", [120, 80, 60, 40])
def test_no_figure_is_cut_and_no_line_is_too_long(width: int) -> None:
    repeats, columns = shown(width)
    assert max(map(len, (repeats + columns).splitlines())) <= width
    assert " ".join(repeats.split()).count("-0.0021 to +0.0267") == 2
    assert repeats.count("+0.0123") == 2
    assert "divisions of the lesions" in " ".join(repeats.split())
    assert ("sd, splits" in repeats) is (width != 80)
    assert "names rows" in columns
    assert "used as" in columns
    assert ("1.2%" in columns) is (width >= 80)


def test_a_log_has_no_edge() -> None:
    repeats, columns = shown(40, terminal=False)
    for text in ("a_network_with_a_long_name", "sd, splits"):
        assert text in repeats
    assert "linker Oberschenkel, medial" in columns


HOSTILE = "a[/red]\x1b]0;title\x07b\u202ec:smile:"


def test_names_are_shown_as_they_are_and_reach_no_terminal_as_codes() -> None:
    page = io.StringIO()
    console = Console(file=page, width=200)
    table = Table("run", "data")
    table.add_row(HOSTILE, HOSTILE)
    print_table(console, table)
    said = page.getvalue()
    assert said.count("a[/red]\ufffd]0;title\ufffdb\ufffdc:smile:") == 2
    assert not set(said) & {"\x1b", "\x07", "\u202e"}
