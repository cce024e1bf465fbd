"""Print what a data folder holds and what is wrong with it."""

from rich.table import Table

from data.check import CheckReport, ImagesCheck, TableCheck, check
from data.recipe import reader_of
from pipeline.display import printable
from pipeline.inputs import Inputs
from pipeline.runtime import Runtime


def run_check(inputs: Inputs, runtime: Runtime) -> bool:
    """Check the data folder, print the findings, say whether a run can start."""
    data, display = inputs.run.recipe.data, runtime.display
    with display.task("checking") as progress:
        report = check(
            inputs.source_dir, reader_of(data).read, max_missing_share=data.max_missing_images, progress=progress
        )
    console = display.console
    display.say(str(report.folder), style="bold")
    for title, table, images in (
        ("train", report.train, report.train_images),
        ("test", report.test, report.test_images),
    ):
        if table is not None or images is not None:
            console.print(findings(title, table, images))
    for warning in report.warnings:
        display.warn(warning)
    for error in report.errors:
        console.print("[red]error:[/red]", end=" ")
        console.print(printable(error), markup=False)
    display.say(verdict(report))
    return report.ok


def findings(title: str, table: TableCheck | None, images: ImagesCheck | None) -> Table:
    """One small table for one part of the folder."""
    shown = Table(title=title, title_justify="left", show_header=False)
    if table is not None:
        shown.add_row("lesions", f"{table.rows:,}")
        shown.add_row("patients" if table.group == "patient_id" else table.group, f"{table.patients:,}")
        # Of two classes the first is what is left.
        for name, count in list(table.classes.items())[len(table.classes) == 2 :]:
            shown.add_row(name, f"{count:,} ({count / max(table.rows, 1):.3%})")
        some = list(table.missing.items())
        shown.add_row("missing", ", ".join(f"{name} {share:.2%}" for name, share in some[:6]) or "nothing")
        if len(some) > 6:
            shown.add_row("", f"and {len(some) - 6} more columns")
    if images is not None:
        shown.add_row("images", f"{images.found:,} found, {len(images.missing):,} missing, {len(images.extra):,} extra")
        shown.add_row("unreadable", f"{len(images.undecodable):,}")
        if images.sides_px:
            low, middle, high = images.sides_px
            shown.add_row("sides", f"{low} to {high} px, median {middle}")
    return shown


def verdict(report: CheckReport) -> str:
    """The last line."""
    errors, warnings = counted(len(report.errors), "error"), counted(len(report.warnings), "warning")
    return f"a run can start ({warnings})" if report.ok else f"a run cannot start: {errors}, {warnings}"


def counted(count: int, thing: str) -> str:
    """`1 warning`, `2 warnings`."""
    return f"{count} {thing}{'s' * (count != 1)}"
