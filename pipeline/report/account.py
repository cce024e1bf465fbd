"""What ran: the recipe, the data, versions, machine, and the seconds of every stage, from the stages' own reports."""

from collections.abc import Iterable
from typing import Any

from data.files import read_json
from pipeline.recipe import recipe_text
from pipeline.report.finished import FinishedRun


def account(run: FinishedRun) -> dict[str, Any]:
    """Everything about the run that is not a score."""
    stages = stage_seconds(run)
    latest = run.report_of("tabular", "report.json")
    devices = sorted({report["training"]["device"] for report in image_reports(run)})
    members = sorted({report["fit"]["device"] for report in member_reports(run)})
    return {
        "run": run.space.run_dir.name,
        "recipe_toml": recipe_text(run.space.recipe),
        "seed": run.seed,
        "folds": {"count": run.space.folds.count, "method": run.space.folds.method},
        "reader": run.space.recipe.data.reader,
        "stages": stages,
        "seconds": sum(stage["seconds"] for stage in stages),
        "image_model_devices": devices,
        "booster_devices": members,
        "peak_memory_mb": max((int(report.get("peak_memory_mb", 0)) for report in every_report(run)), default=0),
        "finished": latest.get("finished"),
        "machine": latest.get("machine", {}),
        "versions": latest.get("versions", {}),
        "commit": latest.get("commit"),
    }


def stage_seconds(run: FinishedRun) -> list[dict[str, Any]]:
    """Seconds and jobs of each stage, summed over its jobs; work that was interrupted counts once."""
    on_test = (run.report_of(*parts(run, job.folder), "test", "report.json") for job in run.image_jobs)
    stages: list[tuple[str, Iterable[dict[str, Any]]]] = [
        ("folds", [run.report_of("folds.json")]),
        ("image models", image_reports(run)),
        ("image models on test lesions", on_test),
        ("tuning", tuning_reports(run)),
        ("boosters", member_reports(run)),
        ("blend and intervals", [run.report_of("tabular", "report.json")]),
        ("submission", [run.report_of("submission.json")]),
    ]
    return [
        {"stage": name, "jobs": len(done), "seconds": sum(float(report["seconds"]) for report in done)}
        for name, reports in stages
        if (done := [report for report in reports if "seconds" in report])
    ]


def parts(run: FinishedRun, folder: Any) -> tuple[str, ...]:
    """A folder's path inside the run folder."""
    inside: tuple[str, ...] = folder.relative_to(run.space.run_dir).parts
    return inside


def image_reports(run: FinishedRun) -> Iterable[dict[str, Any]]:
    """Reports of the fold models."""
    return (run.report_of(*parts(run, job.folder), "report.json") for job in run.image_jobs)


def member_reports(run: FinishedRun) -> Iterable[dict[str, Any]]:
    """Reports of the boosters."""
    return (run.report_of(*parts(run, job.folder), "report.json") for job in run.member_jobs)


def tuning_reports(run: FinishedRun) -> list[dict[str, Any]]:
    """Reports of the searches."""
    return [read_json(path) for path in sorted(run.space.run_dir.glob("tabular/*/tuning/report.json"))]


def every_report(run: FinishedRun) -> Iterable[dict[str, Any]]:
    """All of them."""
    yield from image_reports(run)
    yield from member_reports(run)
    yield from tuning_reports(run)
