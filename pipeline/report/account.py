"""What ran: the recipe, the data, versions, machine, and the seconds of every stage, from the steps' own reports."""

from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.plan import Plan
from pipeline.recipe import recipe_text
from pipeline.report.finished import FinishedRun
from pipeline.step import Step
from pipeline.step_reports import is_number


def account(finished: FinishedRun) -> dict[str, Any]:
    """Everything about the run that is not a score."""
    plan, recipe, folds = finished.plan, finished.recipe, finished.inputs.folds
    stages = stage_seconds(plan)
    latest = plan["blend",].report() or {}
    return {
        "run": plan.run.name,
        "recipe_toml": recipe_text(recipe),
        "seed": recipe.seed,
        "folds": {"count": folds.count, "method": folds.method},
        "reader": recipe.data.reader,
        "stages": stages,
        "seconds": sum(stage["seconds"] for stage in stages),
        "energy": energy([report for _, report in reports(plan)]),
        "image_model_devices": devices(plan.of("fold model"), "training"),
        "booster_devices": devices(plan.of("booster"), "fit"),
        "peak_memory_mb": max((int(report.get("peak_memory_mb", 0)) for _, report in reports(plan)), default=0),
        "finished": latest.get("finished"),
        "machine": latest.get("machine", {}),
        "versions": latest.get("versions", {}),
        "commit": latest.get("commit"),
    }


def stage_seconds(plan: Plan) -> list[dict[str, Any]]:
    """Seconds and jobs of each stage, summed over its steps; work that was interrupted counts once."""
    found: dict[str, list[float]] = {}
    for step, report in reports(plan):
        if "seconds" in report:
            found.setdefault(step.work.stage, []).append(float(report["seconds"]))
    return [{"stage": stage, "jobs": len(each), "seconds": sum(each)} for stage, each in found.items()]


def energy(done: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Joules summed over the steps that have a figure, of how many of them, and why the others have none."""
    each = [report.get("energy", {"not_measured": "a version made them that did not measure"}) for report in done]
    found: dict[str, Any] = {"steps": len(each)}
    for name in ("processor_joules", "card_joules"):
        figures = [one[name] for one in each if is_number(one.get(name))]
        found[name] = {"joules": sum(figures), "steps": len(figures)} if figures else None
    found["not_measured"] = sorted({str(one["not_measured"]) for one in each if "not_measured" in one})
    return found


def reports(steps: Iterable[Step]) -> Iterable[tuple[Step, dict[str, Any]]]:
    """The steps that are done, with their reports."""
    return ((step, report) for step in steps if (report := step.report()) is not None)


def devices(steps: Iterable[Step], part: str) -> list[str]:
    """Where some steps were done, as that part of their reports says."""
    return sorted({report[part]["device"] for _, report in reports(steps)})
