"""What `predict` says in the terminal of the table that it wrote."""

from collections import Counter
from dataclasses import dataclass, field

import polars as pl
from rich.table import Table

from data.cohort import Task
from pipeline.answers import IN_TOP
from pipeline.decision import Decision, percent
from pipeline.display import Display
from pipeline.report.words import several


@dataclass
class Summary:
    """Counts over blocks of whole patients."""

    task: Task
    decision: Decision
    rows: int = 0
    patients: int = 0
    uncertain: int = 0
    alone: int = 0
    noted: int = 0
    top: int = 0
    flagged: Counter[float] = field(default_factory=Counter)
    """By target sensitivity."""

    def add(self, frame: pl.DataFrame) -> None:
        """Count the answers of another block."""
        self.rows += len(frame)
        self.patients += frame[self.task.group].n_unique()
        self.uncertain += int((frame["call"] == "uncertain").sum())
        self.alone += int((~frame["comparable"]).sum())
        self.noted += int((frame["notes"] != "").sum())
        if IN_TOP in frame.columns:
            self.top += int(frame[IN_TOP].sum())
            for one in self.decision.thresholds:
                if one.threshold is not None:
                    self.flagged[one.target] += int((frame["score"] >= one.threshold).sum())

    def show(self, display: Display) -> None:
        """How many there are, how many each threshold flags, and which are in doubt."""
        task, decision = self.task, self.decision
        rows, groups, row = task.words["rows"], task.words["groups"], task.row_noun
        display.say(f"{several(self.rows, row)} of {several(self.patients, task.group_noun)}")
        if len(task.classes) == 2:
            self._show_thresholds(display)
        level = percent(decision.sets.level)
        display.say(f"uncertain: {several(self.uncertain, row)} (at the level of {level} no single class is left)")
        if self.alone:
            display.warn(
                f"{several(self.alone, row)} of {groups} with fewer than {decision.seen.fewest_lesions} {rows} in the "
                f"table: the models compare a {row} with the others of its {task.group_noun}, so give them "
                "all, or expect scores that are off"
            )
        if self.noted:
            display.say(f"with notes: {several(self.noted, row)} (the last column says what is missing or new)")

    def _show_thresholds(self, display: Display) -> None:
        """One line for each threshold, and for the top of every patient."""
        task = self.task
        table = Table("looked at", f"{task.row_noun}s", f"per {task.group_noun}", "kept sensitivity")
        for one in self.decision.thresholds:
            if one.threshold is None or one.bound is None:
                table.add_row(f"at {percent(one.target)}", "-", "-", f"{one.patients} {task.group_noun}s are too few")
                continue
            count = self.flagged[one.target]
            kept = f"{one.target:.2f} on average, {one.bound:.2f} in 95 of 100 samples"
            table.add_row(f"at {percent(one.target)}", f"{count:,}", f"{count / self.patients:.1f}", kept)
        table.add_row(f"the top of every {task.group_noun}", f"{self.top:,}", f"{self.top / self.patients:.1f}", "")
        display.table(table)
