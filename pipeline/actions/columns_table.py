"""The columns of a table for a person: type, missing share, how many values, an example."""

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from data.own.columns import KINDS, ColumnLook
from pipeline.printable import printable
from pipeline.tables import NAME

SPARE = ("values", "missing", "example")
"""What a narrow terminal can do without, the first to go first."""


def columns_table(columns: Sequence[ColumnLook], roles: Mapping[str, str] | None = None) -> tuple[Table, Sequence[str]]:
    """A line per column, and what of it can be spared; `roles` says what becomes of each."""
    shown = Table("column", "type", "missing", "values", "example", title="columns", title_justify="left")
    if roles is not None:
        shown.add_column("used as")
    for column in shown.columns:
        column.no_wrap = True
    shown.columns[-1 if roles is None else -2].min_width = NAME
    for look in columns:
        figures = (f"{look.missing:.1%}", f"{look.different:,}")
        cells = (printable(look.name), KINDS[look.kind], *figures, printable(look.example))
        shown.add_row(*map(Text, cells), *([Text(roles.get(look.name, ""))] if roles is not None else []))
    return shown, SPARE
