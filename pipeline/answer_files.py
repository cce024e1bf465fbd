"""Where answers are written: CSV, Parquet or a spreadsheet by the name of the file, and never over something else."""

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from data.errors import DataError
from data.files import atomic
from data.held import scratch_folder
from pipeline.printable import storable

KINDS = (".csv", ".parquet", ".xlsx")
SHEET_ROWS = 1_048_575
"""A spreadsheet has no more rows below its heading."""
GROUP_ROWS = 50_000
"""Of a Parquet file's row group."""


def refuse_bad_target(path: Path, given: Iterable[Path | None], run: Path) -> None:
    """DataError unless answers can be written there; `given` are the files and folders that are read."""
    if path.suffix.lower() not in KINDS:
        raise DataError(f"--out {path}: the name must end in {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise DataError(f"--out {path} is there and is no regular file; name another")
    if path.resolve().is_relative_to(run.resolve()):
        raise DataError(f"--out {path} lies in the run folder {run}, which is for the run alone; name another place")
    if not path.exists():
        return
    for source in given:
        if source is None or not source.exists():
            continue
        if path.samefile(source) or (source.is_dir() and path.resolve().is_relative_to(source.resolve())):
            raise DataError(f"--out {path} is among what is read ({source}); name another file")


def refuse_too_many(path: Path, rows: int) -> None:
    """DataError for more rows than a spreadsheet has."""
    if path.suffix.lower() == ".xlsx" and rows > SHEET_ROWS:
        raise DataError(f"--out {path}: a spreadsheet holds {SHEET_ROWS:,} rows, and there are {rows:,}; use .csv")


def write_answers(frames: Iterable[pl.DataFrame], path: Path) -> None:
    """Write a table that comes in parts, by the ending of its name, whole or not at all.

    The file is the same however the rows are parted.
    """
    with atomic(path) as temporary:
        match path.suffix.lower():
            case ".parquet":
                write_parquet(frames, temporary)
            case ".xlsx":
                write_sheet(frames, temporary)
            case _:
                with temporary.open("wb") as handle:
                    for number, frame in enumerate(frames):
                        frame.write_csv(handle, include_header=not number)


def write_parquet(frames: Iterable[pl.DataFrame], path: Path) -> None:
    """Write row groups of one size."""
    with scratch_folder() as scratch:
        parts = []
        for number, frame in enumerate(frames):
            parts.append(scratch / f"{number:06d}.parquet")
            frame.write_parquet(parts[-1], compression="lz4")
        pl.scan_parquet(parts, glob=False).sink_parquet(path, row_group_size=GROUP_ROWS, maintain_order=True)


def write_sheet(frames: Iterable[pl.DataFrame], path: Path) -> None:
    """Write a spreadsheet; text stays text, whatever sign it begins with."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    book = Workbook(write_only=True)
    sheet = book.create_sheet("lesions")
    sheet.freeze_panes = "A2"

    def cell(value: object) -> object:
        if not isinstance(value, str):
            return value
        text = WriteOnlyCell(sheet, storable(value))
        text.data_type = "s"
        return text

    for number, frame in enumerate(frames):
        if not number:
            sheet.append([cell(name) for name in frame.columns])
        for row in frame.iter_rows():
            sheet.append([cell(value) for value in row])
    with path.open("wb") as handle:
        book.save(handle)
