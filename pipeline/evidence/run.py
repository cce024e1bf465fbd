"""`fusionnetx evidence`: make the parts that are asked for, keep them in evidence.json, show them in evidence.html."""

from collections.abc import Callable, Sequence
from typing import Any

from data.cohort import Task
from data.errors import DataError
from data.files import write_json, write_text
from pipeline.evidence.clinics import clinics_figures
from pipeline.evidence.inputs import inputs_figures
from pipeline.evidence.robustness import robustness_figures
from pipeline.evidence.show import print_part
from pipeline.evidence.shuffled import shuffled_figures
from pipeline.inputs import Inputs
from pipeline.make import make
from pipeline.plan import Plan
from pipeline.report.ablation import state_of, study_of
from pipeline.report.evidence import FILE, PARTS, evidence_plots
from pipeline.report.metrics import BEST
from pipeline.report.page import render
from pipeline.run import Run
from pipeline.runtime import Runtime
from pipeline.scoring import CHANCE

PAGE = "evidence.html"
MADE = ("inputs", "clinics", "robustness", "shuffled")
"""The parts that this verb makes, in the order in which they are made."""


def run_evidence(inputs: Inputs, runtime: Runtime, parts: Sequence[str], by: str = "attribution") -> None:
    """Finish the run if need be, make each part and keep it before the next is begun."""
    if "clinics" in parts and by not in inputs.data.train.table.columns:
        if set(parts) == set(MADE):
            runtime.display.warn(f"the training table has no column {by}: no clinics to hold out")
            parts = [part for part in parts if part != "clinics"]
        else:
            raise DataError(
                f"--by {by}: the training table has no such column, so there are no clinics to hold out; name another "
                "column, or leave --clinics out"
            )
    plan = make(inputs, runtime, "tabular")
    work: dict[str, Callable[[Inputs, Runtime, Plan], dict[str, Any]]] = {
        "inputs": inputs_figures,
        "clinics": lambda inputs, runtime, plan: clinics_figures(inputs, runtime, plan, by),
        "robustness": robustness_figures,
        "shuffled": shuffled_figures,
    }
    for part in (part for part in MADE if part in parts):
        keep(inputs.run, runtime, inputs.data.train.task, part, work[part](inputs, runtime, plan))
    say_where(inputs.run, runtime)


def keep(run: Run, runtime: Runtime, task: Task, part: str, found: Any) -> None:
    """Put a part beside what is there about the run as it is now, in both files, and print it."""
    figures = {
        "of": state_of(run),
        "run": run.name,
        "synthetic": run.invented,
        "score": task.score,
        "chance": CHANCE.get(task.score),
        "best": BEST.get(task.score, 1.0),
        "words": task.words,
        **dict.fromkeys(PARTS),
        **{name: kept for name, kept in (study_of(run, FILE) or {}).items() if name in PARTS},
        part: found,
    }
    write_json(run.folder / FILE, figures)
    write_text(run.folder / PAGE, evidence_page(figures))
    print_part(runtime.display, figures, part)


def evidence_page(figures: dict[str, Any]) -> str:
    """The page, drawn from the figures alone."""
    plots = evidence_plots(figures, figures["words"], "")
    return render("evidence.html", figures, evidence_plots=plots)


def say_where(run: Run, runtime: Runtime) -> None:
    """Where the files are."""
    folder = run.folder
    runtime.display.say(
        f"wrote {folder / PAGE} and the same figures to {folder / FILE}; `fusionnetx report --run {folder}` takes "
        "them into the report"
    )
