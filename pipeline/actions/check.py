"""Print what a data folder holds, what is wrong with it, and whether the recipe fits it."""

from rich.table import Table

from data.check import ImagesCheck, TableCheck, check
from data.recipe import reader_of
from pipeline.actions.check_recipe import look_at_recipe
from pipeline.actions.columns_table import columns_table
from pipeline.inputs import Inputs
from pipeline.report.words import several
from pipeline.runtime import Runtime


def run_check(inputs: Inputs, runtime: Runtime) -> bool:
    """Check the data folder and the recipe, print the findings, say whether a run can start."""
    data, display = inputs.run.recipe.data, runtime.display
    with display.task("checking") as progress:
        report = check(
            inputs.source_dir, reader_of(data).read, max_missing_share=data.max_missing_images, progress=progress
        )
    usual = report.train_images.sides_px[1] if report.train_images and report.train_images.sides_px else None
    with display.task("checking the recipe"):
        found = look_at_recipe(Inputs(inputs.run, runtime, given=report.data), runtime, usual)
    # What the data lack already is no news of the recipe.
    errors = (*report.errors, *(one.text for one in found if one.level == "error"))
    warnings = (*report.warnings, *(one.text for one in found if one.level == "warning"))
    display.say(str(report.folder), style="bold")
    for title, table, images in (
        ("train", report.train, report.train_images),
        ("test", report.test, report.test_images),
    ):
        if table is not None or images is not None:
            display.table(findings(title, table, images))
    # Of a data set as published the columns are known: there they are listed where nothing else asks for a look.
    if report.train is not None and (not errors or data.reader == "folder"):
        display.table(*columns_table(report.train.columns))
    for line in (*report.understood, *(one.text for one in found if one.level == "fact")):
        display.say(line)
    for warning in warnings:
        display.warn(warning)
    for error in errors:
        display.fail(error)
    display.say(verdict(len(errors), len(warnings)))
    return not errors


def findings(title: str, table: TableCheck | None, images: ImagesCheck | None) -> Table:
    """One small table for one part of the folder."""
    shown = Table(title=title, title_justify="left", show_header=False)
    if table is not None:
        shown.add_row(table.words["rows"], f"{table.rows:,}")
        if table.words["row"] != table.words["group"]:
            shown.add_row(table.words["groups"], f"{table.patients:,}")
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


def verdict(errors: int, warnings: int) -> str:
    """The last line."""
    noted = several(warnings, "warning")
    return f"a run cannot start: {several(errors, 'error')}, {noted}" if errors else f"a run can start ({noted})"
