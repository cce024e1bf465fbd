"""What `predict` says in the terminal of the table that it wrote."""

import polars as pl
from rich.table import Table

from data.cohort import Task
from pipeline.answers import IN_TOP
from pipeline.decision import Decision, percent
from pipeline.display import Display


def print_summary(display: Display, frame: pl.DataFrame, task: Task, decision: Decision) -> None:
    """How many there are, how many each threshold flags, and which are in doubt."""
    rows, groups = f"{task.row_noun}s", f"{task.group_noun}s"
    patients = frame[task.group].n_unique()
    display.say(f"{len(frame):,} {rows} of {patients:,} {groups}")
    if "score" in frame.columns:
        print_thresholds(display, frame, task, decision)
    uncertain = int((frame["call"] == "uncertain").sum())
    display.say(
        f"{uncertain:,} {rows} are uncertain: at the level of {percent(decision.sets.level)} no single class is left"
    )
    alone = int((~frame["comparable"]).sum())
    if alone:
        display.warn(
            f"{alone:,} {rows} are of {groups} with fewer than {decision.seen.fewest_lesions} {rows} in the table: the "
            f"models compare a {task.row_noun} with the others of its {task.group_noun}, so give them all, or expect "
            "scores that are off"
        )
    noted = int((frame["notes"] != "").sum())
    if noted:
        display.say(f"{noted:,} {rows} have notes (the last column says what is missing or new)")


def print_thresholds(display: Display, frame: pl.DataFrame, task: Task, decision: Decision) -> None:
    """One line for each threshold, and for the top of every patient."""
    rows, patients = f"{task.row_noun}s", frame[task.group].n_unique()
    table = Table("looked at", rows, f"per {task.group_noun}", "kept sensitivity", title_justify="left")
    for one in decision.thresholds:
        if one.threshold is None or one.bound is None:
            table.add_row(f"at {percent(one.target)}", "-", "-", f"{one.patients} {task.group_noun}s are too few")
            continue
        count = int((frame["score"] >= one.threshold).sum())
        kept = f"{one.target:.2f} on average, {one.bound:.2f} in 95 of 100 samples"
        table.add_row(f"at {percent(one.target)}", f"{count:,}", f"{count / patients:.1f}", kept)
    top = int(frame[IN_TOP].sum())
    table.add_row(f"the top of every {task.group_noun}", f"{top:,}", f"{top / patients:.1f}", "")
    display.console.print(table)
