"""Tables in a terminal of any width: names grow shorter, spare columns give way, and at last each row is a list."""

from collections.abc import Sequence

from rich import box
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from pipeline.printable import printable

NAME, WORDS = 12, 24
"""Columns of a terminal that a name keeps at least, and that a text keeps when it goes over several lines."""
ROOM = 10_000


def print_table(console: Console, table: Table, spare: Sequence[str] = ()) -> None:
    """Print a table whole; `spare` names the columns that it can do without, the first to go first.

    A figure is never cut. A log has no edge, so there the table is as wide as it likes. What a cell says is shown as it
    is: names may hold brackets, and terminal codes.
    """
    for column in table.columns:
        column._cells = [Text(printable(cell)) if isinstance(cell, str) else cell for cell in column._cells]
    if not console.is_terminal:
        table.width = width_of(table, console)
        console.print(table, crop=False)
        return
    every = table.columns
    for heading in (None, *spare):
        table.columns = [column for column in table.columns if column.header != heading]
        if shortened(table, console):
            console.print(table)
            return
    table.columns = every
    print_list(console, table)


def grid(title: str, *names: str, figures: Sequence[str] = ()) -> Table:
    """A light table with its title on the left: columns of names, then columns of figures, which stand to the right."""
    table = Table(*names, title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in figures:
        table.add_column(heading, justify="right")
    return table


def width_of(renderable: RenderableType, console: Console) -> int:
    """Columns that something takes when there is room."""
    return Measurement.get(console, console.options.update(max_width=ROOM), renderable).maximum


def shortened(table: Table, console: Console) -> bool:
    """Make names and texts of a table shorter until it fits; whether it does."""
    widths = [max(width_of(cell, console) for cell in (column.header, *column.cells)) for column in table.columns]
    floors = [min(width, floor_of(place, table, console)) for place, width in enumerate(widths)]
    over = width_of(table, console) - console.width
    if over > sum(widths) - sum(floors):
        return False
    for _ in range(over):
        longest = max(range(len(widths)), key=lambda place: widths[place] - floors[place])
        widths[longest] -= 1
    table.columns[0].no_wrap = True
    for width, column in zip(widths, table.columns, strict=True):
        column.max_width = width
    return True


def floor_of(place: int, table: Table, console: Console) -> int:
    """How short a column may become: a name is cut, words go over several lines, of figures the heading alone does."""
    column = table.columns[place]
    if column.min_width is not None or place == 0:
        return column.min_width or NAME
    if column.no_wrap or column.justify != "right":
        return ROOM if column.no_wrap else WORDS
    return max(width_of(cell, console) for cell in (*plain(column.header).split(), *column.cells))


def print_list(console: Console, table: Table) -> None:
    """Each row as a list of its figures."""
    headings = [plain(column.header) for column in table.columns[1:]]
    if table.title:
        console.print(table.title, style="italic")
    gap = max(map(len, headings), default=0)
    for name, *cells in zip(*(column.cells for column in table.columns), strict=True):
        console.print(plain(name), style="bold", markup=False, highlight=False)
        for heading, cell in zip(headings, cells, strict=True):
            if text := plain(cell):
                console.print(f"  {heading:<{gap}}  {text}", markup=False, highlight=False)
    if table.caption:
        console.print(table.caption)


def plain(cell: RenderableType) -> str:
    """The words of a cell, on one line."""
    text = cell if isinstance(cell, Text) else Text.from_markup(str(cell))
    return " ".join(text.plain.split())
